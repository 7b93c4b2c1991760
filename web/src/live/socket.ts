// One WebSocket that comes back: connect, ping, deadline, backoff, close codes. It knows nothing of
// conversations; whoever owns it says again what it needs after every `connected`.
import { afterHint, backoff } from "./backoff";
import {
  CLOSE_INVALID_TOKEN,
  type ClientFrame,
  type ConnectedFrame,
  FINAL_CLOSE_CODES,
  parseFrame,
  type ServerFrame,
} from "./frames";

export type SocketStatus =
  | { state: "idle" }
  | { state: "connecting"; attempt: number }
  | { state: "online" }
  | { state: "waiting"; attempt: number }
  | { state: "refused"; code: number; reason: string };

export interface SocketEvents {
  onFrame(frame: ServerFrame): void;
  onConnected(frame: ConnectedFrame): void;
  onStatus(status: SocketStatus): void;
  /** Renews the session; false when it is over. Throws when the server cannot be reached. */
  renew(): Promise<boolean>;
  /** After a handshake that failed, which tells no reason: false when nobody is signed in. */
  probe(): Promise<boolean>;
  /** The session is over. */
  onSignedOut(): void;
}

export interface SocketEnvironment {
  open(path: string): WebSocket;
  random(): number;
  now(): number;
}

const CONNECT_TIMEOUT_MS = 10_000;
const PONG_TIMEOUT_MS = 10_000;
/** A connection that lived this long has proved its token and its server. */
const PROVEN_MS = 10_000;

type Timer = ReturnType<typeof setTimeout>;

export class LiveSocket {
  private socket: WebSocket | undefined;
  private sessionId: string | undefined;
  private connectedAt: number | undefined;
  private attempt = 0;
  private renewed = false;
  private hintMs: number | undefined;
  private running = false;
  private timer: Timer | undefined;
  private pinging: Timer | undefined;
  private deadline: Timer | undefined;
  private readonly env: SocketEnvironment;
  private readonly events: SocketEvents;

  constructor(env: SocketEnvironment, events: SocketEvents) {
    this.env = env;
    this.events = events;
  }

  start(): void {
    if (this.running) return;
    this.running = true;
    this.attempt = 0;
    this.renewed = false;
    this.connect();
  }

  stop(): void {
    this.running = false;
    this.sessionId = undefined;
    this.hintMs = undefined;
    this.drop();
    this.events.onStatus({ state: "idle" });
  }

  /** Connects now if it only waits, or was refused. */
  retryNow(): void {
    if (!this.running || this.socket) return;
    this.connect();
  }

  /** Leaves this connection and opens another at once, to present new cookies. */
  reconnect(): void {
    if (!this.running) return;
    this.drop();
    this.connect();
  }

  get online(): boolean {
    return this.connectedAt !== undefined;
  }

  send(frame: ClientFrame): boolean {
    if (!this.socket || !this.online || this.socket.readyState !== WebSocket.OPEN) return false;
    this.socket.send(JSON.stringify(frame));
    return true;
  }

  private connect(): void {
    this.clearTimers();
    this.events.onStatus({ state: "connecting", attempt: this.attempt });
    const path = this.sessionId ? `/ws/assistant/${this.sessionId}` : "/ws/assistant";
    const socket = this.env.open(path);
    this.socket = socket;
    socket.onmessage = (event: MessageEvent<unknown>) => {
      if (this.socket === socket) this.received(event.data);
    };
    socket.onclose = (event: CloseEvent) => {
      if (this.socket === socket) void this.closed(event.code, event.reason);
    };
    this.deadline = setTimeout(() => this.lost(), CONNECT_TIMEOUT_MS);
  }

  private received(data: unknown): void {
    const frame = parseFrame(data);
    if (!frame) return;
    // Whatever comes is a sign of life.
    if (this.online) this.clearDeadline();
    if (frame.type === "connected") {
      this.clearDeadline();
      this.connectedAt = this.env.now();
      this.sessionId = frame.session_id;
      this.attempt = 0;
      this.hintMs = undefined;
      this.schedulePing(frame.heartbeat_s);
      this.events.onStatus({ state: "online" });
      this.events.onConnected(frame);
      return;
    }
    if (frame.type === "system") {
      if (frame.kind === "draining") this.hintMs = frame.reconnect_after_ms;
      if (frame.kind === "auth_expiring") void this.renewQuietly();
    }
    this.events.onFrame(frame);
  }

  private async renewQuietly(): Promise<void> {
    try {
      if (await this.events.renew()) this.reconnect();
    } catch {
      // The server ends the connection when the token does; then it is tried again.
    }
  }

  private schedulePing(heartbeatS: number): void {
    const every = Math.max(1000, (heartbeatS * 1000) / 3);
    this.pinging = setInterval(() => {
      this.send({ type: "ping" });
      this.deadline ??= setTimeout(() => this.lost(), PONG_TIMEOUT_MS);
    }, every);
  }

  /** Silence: the peer is gone, whatever the socket believes. */
  private lost(): void {
    const socket = this.socket;
    if (!socket) return;
    socket.onclose = null;
    socket.onmessage = null;
    socket.close();
    void this.closed(1006, "");
  }

  private async closed(code: number, reason: string): Promise<void> {
    const { connectedAt } = this;
    const proven = connectedAt !== undefined && this.env.now() - connectedAt >= PROVEN_MS;
    if (proven) this.renewed = false;
    this.forget();
    if (!this.running) return;
    if (code === CLOSE_INVALID_TOKEN && !this.renewed) return this.renewAndConnect();
    if (code >= FINAL_CLOSE_CODES) {
      this.events.onStatus({ state: "refused", code, reason });
      if (code === CLOSE_INVALID_TOKEN) this.events.onSignedOut();
      return;
    }
    this.wait();
    // A refused handshake looks like any broken connection; ask over HTTP, which renews if need be.
    if (connectedAt === undefined) await this.ask(() => this.events.probe());
  }

  private async renewAndConnect(): Promise<void> {
    this.renewed = true;
    this.wait();
    const result = await this.ask(() => this.events.renew());
    if (result) this.retryNow();
  }

  private async ask(question: () => Promise<boolean>): Promise<boolean> {
    try {
      const signedIn = await question();
      if (!signedIn && this.running) {
        this.clearTimers();
        this.running = false;
        this.events.onStatus({ state: "idle" });
        this.events.onSignedOut();
      }
      return signedIn;
    } catch {
      // Not reachable: the backoff goes on.
      return false;
    }
  }

  private wait(): void {
    const delay =
      this.hintMs === undefined
        ? backoff(this.attempt, this.env.random())
        : afterHint(this.hintMs, this.env.random());
    this.hintMs = undefined;
    this.attempt += 1;
    this.events.onStatus({ state: "waiting", attempt: this.attempt });
    this.timer = setTimeout(() => this.connect(), delay);
  }

  private drop(): void {
    const socket = this.socket;
    this.forget();
    if (!socket) return;
    socket.onclose = null;
    socket.onmessage = null;
    socket.close(1000);
  }

  private forget(): void {
    this.clearTimers();
    this.socket = undefined;
    this.connectedAt = undefined;
  }

  private clearDeadline(): void {
    clearTimeout(this.deadline);
    this.deadline = undefined;
  }

  private clearTimers(): void {
    this.clearDeadline();
    clearTimeout(this.timer);
    clearInterval(this.pinging);
    this.timer = undefined;
    this.pinging = undefined;
  }
}
