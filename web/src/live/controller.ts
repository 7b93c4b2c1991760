// Joins socket, store and REST: what is said after each `connected`, when messages are read, and
// which question is still to be accepted. One per page.
import type { ConversationId, MessagePage, TurnId } from "../api/types";
import type { ServerFrame } from "./frames";
import type { LiveEvent } from "./reduce";
import type { LiveSocket } from "./socket";
import type { LiveState } from "./state";
import { Batch } from "./store";

export interface ControllerEnvironment {
  socket: Pick<LiveSocket, "send">;
  state(): LiveState;
  write(events: LiveEvent[]): void;
  readMessages(id: ConversationId, cursor?: string): Promise<MessagePage>;
  onConversationsChanged(): void;
  newId(): string;
  now(): string;
}

/** Without a socket the messages are read all the same, after this long. */
const UNSUBSCRIBED_MS = 1200;
/** An answer's end is followed by one reading of the conversation, for its evidence. */
const RELOAD_MS = 120;

type Timer = ReturnType<typeof setTimeout>;

export class LiveController {
  private readonly env: ControllerEnvironment;
  private readonly batch: Batch;
  private current: ConversationId | null = null;
  private fallback: Timer | undefined;
  private readonly reloads = new Map<ConversationId, Timer>();
  private changed: Timer | undefined;

  constructor(env: ControllerEnvironment) {
    this.env = env;
    this.batch = new Batch((events) => env.write(events));
  }

  /** Shows a conversation: watched first, then read, so that nothing falls in between. */
  open(id: ConversationId | null): void {
    if (id === this.current) return;
    if (this.current) {
      this.env.socket.send({ type: "unsubscribe", conversation_id: this.current });
    }
    this.current = id;
    clearTimeout(this.fallback);
    if (!id) return;
    this.env.write([{ kind: "opened", conversationId: id }]);
    this.env.socket.send({ type: "subscribe", conversation_id: id });
    this.fallback = setTimeout(() => void this.reload(id), UNSUBSCRIBED_MS);
  }

  /** Sends a question, and again after each reconnect until it is accepted or refused. */
  ask(content: string, conversationId: ConversationId | null): string {
    const clientMessageId = this.env.newId();
    this.env.write([{ kind: "asked", clientMessageId, conversationId, content }]);
    this.sendPending(clientMessageId);
    return clientMessageId;
  }

  retry(clientMessageId: string): void {
    this.env.write([{ kind: "retried", clientMessageId }]);
    this.sendPending(clientMessageId);
  }

  discard(clientMessageId: string): void {
    this.env.write([{ kind: "discarded", clientMessageId }]);
  }

  cancel(turnId: TurnId): boolean {
    return this.env.socket.send({ type: "cancel", turn_id: turnId });
  }

  async reload(id: ConversationId): Promise<void> {
    await this.read(id, undefined);
  }

  async loadOlder(id: ConversationId): Promise<void> {
    const cursor = this.env.state().threads[id]?.older;
    if (cursor) await this.read(id, cursor);
  }

  retryOpen(id: ConversationId): void {
    this.env.write([{ kind: "opened", conversationId: id }]);
    void this.reload(id);
  }

  /** After `connected`: the running turn from where it was lost, the conversation, the questions. */
  connected(): void {
    this.batch.flush();
    const state = this.env.state();
    const id = this.current;
    if (id) {
      const running = state.threads[id]?.running;
      const turn = running ? state.turns[running] : undefined;
      if (turn && turn.lastSeq > 0 && turn.phase !== "ended") {
        this.env.socket.send({ type: "resume", turn_id: turn.id, after_seq: turn.lastSeq });
      }
      this.env.socket.send({ type: "subscribe", conversation_id: id });
    }
    for (const item of state.pending) {
      if (!item.error) this.sendPending(item.clientMessageId);
    }
  }

  received(frame: ServerFrame): void {
    this.batch.add({ kind: "frame", frame, at: this.env.now() });
    switch (frame.type) {
      case "subscribed":
        this.batch.flush();
        clearTimeout(this.fallback);
        void this.reload(frame.conversation_id);
        break;
      case "accepted":
        this.batch.flush();
        // A conversation that was just opened is watched from its first moment on, even before
        // the page has its address.
        if (this.current === null) {
          this.current = frame.conversation_id;
          this.env.socket.send({ type: "subscribe", conversation_id: frame.conversation_id });
        }
        this.conversationsChanged();
        break;
      case "message":
        this.conversationsChanged();
        break;
      case "resumed":
        if (!frame.recovered && this.current) this.reloadSoon(this.current);
        break;
      case "response":
      case "error":
        if (frame.turn_id) this.turnEnded(frame.turn_id);
        else if (frame.type === "error" && frame.code === "conversation_not_found") {
          // The subscription was refused; the reading says so where it can be shown.
          clearTimeout(this.fallback);
          if (this.current) this.reloadSoon(this.current);
        }
        break;
      default:
        break;
    }
  }

  clear(): void {
    this.batch.flush();
    clearTimeout(this.fallback);
    clearTimeout(this.changed);
    for (const timer of this.reloads.values()) clearTimeout(timer);
    this.reloads.clear();
    this.current = null;
    this.env.write([{ kind: "cleared" }]);
  }

  private turnEnded(turnId: TurnId): void {
    this.batch.flush();
    const id = this.env.state().turns[turnId]?.conversationId;
    if (id) this.reloadSoon(id);
    this.conversationsChanged();
  }

  private conversationsChanged(): void {
    this.changed ??= setTimeout(() => {
      this.changed = undefined;
      this.env.onConversationsChanged();
    }, RELOAD_MS);
  }

  private reloadSoon(id: ConversationId): void {
    if (this.reloads.has(id)) return;
    this.reloads.set(
      id,
      setTimeout(() => {
        this.reloads.delete(id);
        void this.reload(id);
      }, RELOAD_MS),
    );
  }

  private sendPending(clientMessageId: string): void {
    const item = this.env.state().pending.find((p) => p.clientMessageId === clientMessageId);
    if (!item) return;
    this.env.socket.send({
      type: "message",
      client_message_id: item.clientMessageId,
      content: item.content,
      ...(item.conversationId ? { conversation_id: item.conversationId } : {}),
    });
  }

  private async read(id: ConversationId, cursor: string | undefined): Promise<void> {
    try {
      const page = await this.env.readMessages(id, cursor);
      this.batch.flush();
      this.env.write([{ kind: "loaded", conversationId: id, page, older: cursor !== undefined }]);
    } catch (error) {
      this.env.write([{ kind: "load_failed", conversationId: id, error }]);
    }
  }
}
