// A WebSocket for tests that does what its script says.

export class FakeSocket {
  static readonly OPEN = 1;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;
  readyState = FakeSocket.OPEN;
  readonly sent: Record<string, unknown>[] = [];
  closedWith: number | undefined;
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  send(text: string): void {
    this.sent.push(JSON.parse(text) as Record<string, unknown>);
  }

  close(code = 1000): void {
    this.closedWith = code;
    this.readyState = 3;
  }

  /** The server says. */
  says(frame: unknown): void {
    this.onmessage?.({ data: typeof frame === "string" ? frame : JSON.stringify(frame) });
  }

  connected(heartbeatS = 30): void {
    this.says({
      type: "connected",
      session_id: "s1",
      user: { id: "u1", username: "a", display_name: "A", role: "admin" },
      heartbeat_s: heartbeatS,
      protocol: 1,
    });
  }

  /** The server, or the net, ends it. */
  ends(code: number, reason = ""): void {
    this.readyState = 3;
    this.onclose?.({ code, reason });
  }
}
