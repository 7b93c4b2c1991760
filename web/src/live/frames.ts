// WebSocket frames, as crates/protocol/src/frame.rs has them.
import type { Schemas } from "../api/types";

export type ClientFrame = Schemas["ClientFrame"];
export type ServerFrame = Schemas["ServerFrame"];

type FrameOf<Type extends ServerFrame["type"]> = Extract<ServerFrame, { type: Type }>;
export type ConnectedFrame = FrameOf<"connected">;
export type AcceptedFrame = FrameOf<"accepted">;
export type ErrorFrame = FrameOf<"error">;

/** A frame with a place in its turn. */
export type TurnFrame = Extract<ServerFrame, { seq: number }>;

/** Close codes from here on mean: do not connect again. */
export const FINAL_CLOSE_CODES = 4500;
export const CLOSE_INVALID_TOKEN = 4500;

/** A frame of the server; nothing for what is not one. Unknown types are passed on and ignored. */
export function parseFrame(data: unknown): ServerFrame | undefined {
  if (typeof data !== "string") return undefined;
  try {
    const value: unknown = JSON.parse(data);
    if (typeof value === "object" && value !== null && "type" in value) {
      return typeof value.type === "string" ? (value as ServerFrame) : undefined;
    }
  } catch {
    // Not JSON: not a frame.
  }
  return undefined;
}
