// Where the parts that learn of a session's end meet those that must act on it. It keeps the live
// code out of the entry chunk.

export const session = {
  /** The session is over and cannot be renewed; the router sets it. */
  ended: (): void => {},
  /** Conversations were added or changed; the router sets it. */
  conversationsChanged: (): void => {},
  /** Ends the live connection; set once there is one. */
  stopLive: (): void => {},
};
