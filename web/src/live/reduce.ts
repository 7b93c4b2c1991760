// The frame reducer: (state, event) → state, without effects. The rules it keeps: a message stands
// once whatever the number of times it is told; a turn's text is built from each seq once; a replay
// from the start replaces, it does not append; what is final is never made unfinished.
import type { ConversationId, Message, MessagePage, TurnId } from "../api/types";
import type { AcceptedFrame, ErrorFrame, ServerFrame, TurnFrame } from "./frames";
import {
  emptyState,
  emptyThread,
  type LiveState,
  type LiveTurn,
  newTurn,
  type Thread,
} from "./state";
import { applyTurnFrame, finalMessage } from "./turn";

export type LiveEvent =
  | { kind: "frame"; frame: ServerFrame; at: string }
  | { kind: "opened"; conversationId: ConversationId }
  | { kind: "loaded"; conversationId: ConversationId; page: MessagePage; older: boolean }
  | { kind: "load_failed"; conversationId: ConversationId; error: unknown }
  | {
      kind: "asked";
      clientMessageId: string;
      conversationId: ConversationId | null;
      content: string;
    }
  | { kind: "retried"; clientMessageId: string }
  | { kind: "discarded"; clientMessageId: string }
  | { kind: "notice_closed" }
  | { kind: "forgotten"; conversationId: ConversationId }
  | { kind: "cleared" };

export function reduce(state: LiveState, event: LiveEvent): LiveState {
  switch (event.kind) {
    case "frame":
      return applyFrame(state, event.frame, event.at);
    case "opened":
      return opened(state, event.conversationId);
    case "loaded":
      return loaded(state, event.conversationId, event.page, event.older);
    case "load_failed": {
      const thread = state.threads[event.conversationId] ?? emptyThread;
      // What is shown already stays; a failed reload is only worth a screen when there is nothing.
      if (thread.loading.state === "ready") return state;
      return withThread(state, event.conversationId, {
        ...thread,
        loading: { state: "failed", error: event.error },
      });
    }
    case "asked": {
      const { clientMessageId, conversationId, content } = event;
      const pending = { clientMessageId, conversationId, content, error: null };
      return { ...state, notice: null, pending: [...state.pending, pending] };
    }
    case "retried":
      return {
        ...state,
        pending: state.pending.map((item) =>
          item.clientMessageId === event.clientMessageId ? { ...item, error: null } : item,
        ),
      };
    case "discarded":
      return withoutPending(state, event.clientMessageId);
    case "notice_closed":
      return { ...state, notice: null };
    case "forgotten": {
      const { [event.conversationId]: _, ...threads } = state.threads;
      return { ...state, threads };
    }
    case "cleared":
      return emptyState;
  }
}

function withThread(state: LiveState, id: ConversationId, thread: Thread): LiveState {
  return { ...state, threads: { ...state.threads, [id]: thread } };
}

function withoutPending(state: LiveState, clientMessageId: string): LiveState {
  const pending = state.pending.filter((item) => item.clientMessageId !== clientMessageId);
  return pending.length === state.pending.length ? state : { ...state, pending };
}

/** Threads kept in memory; the ones opened longest ago go first. */
const MAX_THREADS = 12;

function pruned(state: LiveState, keep: ConversationId): LiveState {
  const ids = Object.keys(state.threads).filter((id) => id !== keep);
  const gone = new Set(ids.slice(0, Math.max(0, ids.length + 1 - MAX_THREADS)));
  if (gone.size === 0) return state;
  const rest = <T>(all: Record<string, T>, isGone: (key: string, value: T) => boolean) =>
    Object.fromEntries(Object.entries(all).filter(([key, value]) => !isGone(key, value)));
  return {
    ...state,
    threads: rest(state.threads, (id) => gone.has(id)),
    turns: rest(state.turns, (_, turn) => gone.has(turn.conversationId ?? "")),
  };
}

function opened(before: LiveState, id: ConversationId): LiveState {
  const state = pruned(before, id);
  const thread = state.threads[id];
  if (thread && thread.loading.state !== "failed") return state;
  return withThread(state, id, { ...(thread ?? emptyThread), loading: { state: "loading" } });
}

/** Adds messages to a thread; what is final is kept against what is unfinished. */
export function mergeMessages(old: Message[], added: Message[]): Message[] {
  const byId = new Map(old.map((message) => [message.id, message]));
  for (const message of added) {
    const known = byId.get(message.id);
    if (known && known.status !== "streaming" && message.status === "streaming") continue;
    byId.set(message.id, message);
  }
  return [...byId.values()].sort(
    (a, b) =>
      a.created_at.localeCompare(b.created_at) ||
      // A question and its answer may have been made in the same millisecond.
      Number(a.author === "assistant") - Number(b.author === "assistant") ||
      a.id.localeCompare(b.id),
  );
}

function isOver(state: LiveState, turnId: TurnId): boolean {
  return state.turns[turnId]?.phase === "ended";
}

function loaded(
  state: LiveState,
  id: ConversationId,
  page: MessagePage,
  older: boolean,
): LiveState {
  const thread = state.threads[id] ?? emptyThread;
  const first = thread.loading.state !== "ready";
  const known = new Set(page.items.map((message) => message.client_message_id));
  let next: LiveState = {
    ...state,
    pending: state.pending.filter(
      (item) => item.conversationId === null || !known.has(item.clientMessageId),
    ),
  };
  const messages = mergeMessages(thread.messages, page.items);
  const told = page.running_turn;
  // This page may be older than the frames: only a stored answer ends a turn here.
  const candidate = told && !isOver(state, told) ? told : thread.running;
  const running = candidate && !isAnswered(messages, candidate) ? candidate : null;
  next = withThread(next, id, {
    messages,
    running,
    older: older || first ? page.next_cursor : thread.older,
    loading: { state: "ready" },
  });
  if (running && !next.turns[running]) next = withTurn(next, running, id);
  return next;
}

function withTurn(state: LiveState, turnId: TurnId, conversationId: ConversationId): LiveState {
  const turn = state.turns[turnId] ?? newTurn(turnId, conversationId);
  const known = turn.conversationId === conversationId ? turn : { ...turn, conversationId };
  return { ...state, turns: { ...state.turns, [turnId]: known } };
}

function applyFrame(state: LiveState, frame: ServerFrame, at: string): LiveState {
  switch (frame.type) {
    case "accepted":
      return accepted(state, frame, at);
    case "message":
      return messageAdded(state, frame.message);
    case "subscribed":
      return subscribed(state, frame.conversation_id, frame.running_turn);
    case "resumed":
      return frame.recovered ? state : dropTurn(state, frame.turn_id);
    case "error":
      return failed(state, frame);
    case "stream_start":
    case "step":
    case "stream_restart":
    case "stream_chunk":
    case "stream_end":
    case "response":
      return turnFrame(state, frame, at);
    default:
      // `connected`, `system`, `pong` concern the socket; `typing` and `presence` a later stage.
      return state;
  }
}

function accepted(state: LiveState, frame: AcceptedFrame, at: string): LiveState {
  const { client_message_id, conversation_id, message_id, turn_id } = frame;
  const pending = state.pending.find((item) => item.clientMessageId === client_message_id);
  let next = withoutPending(state, client_message_id);
  next = withTurn(next, turn_id, conversation_id);
  const thread = next.threads[conversation_id] ?? emptyThread;
  const messages = pending
    ? mergeMessages(thread.messages, [
        thread.messages.find((message) => message.id === message_id) ?? {
          id: message_id,
          conversation_id,
          turn_id,
          author: "user",
          content: pending.content,
          status: "complete",
          citations: [],
          usage: null,
          cost_usd: null,
          provider: null,
          model: null,
          cached: false,
          evidence: null,
          client_message_id,
          created_at: later(at, thread.messages.at(-1)?.created_at),
        },
      ])
    : thread.messages;
  const answered = isAnswered(messages, turn_id);
  next = withThread(next, conversation_id, {
    ...thread,
    messages,
    running: answered || isOver(next, turn_id) ? thread.running : turn_id,
    loading: pending?.conversationId === null ? { state: "ready" } : thread.loading,
  });
  if (pending?.conversationId !== null) return next;
  return { ...next, opened: { ...next.opened, [client_message_id]: conversation_id } };
}

/** The page's clock may be behind the server's; a new message stands last all the same. */
function later(at: string, last: string | undefined): string {
  if (!last || last < at) return at;
  return new Date(Date.parse(last) + 1).toISOString();
}

function isAnswered(messages: Message[], turnId: TurnId): boolean {
  return messages.some(
    (message) => message.turn_id === turnId && message.author === "assistant" && isFinal(message),
  );
}

function isFinal(message: Message): boolean {
  return message.status !== "streaming";
}

function messageAdded(state: LiveState, message: Message): LiveState {
  const id = message.conversation_id;
  let next = message.client_message_id ? withoutNamed(state, message.client_message_id) : state;
  const thread = next.threads[id] ?? emptyThread;
  const asks = message.author === "user";
  const over = isOver(next, message.turn_id);
  const running = asks && !over ? message.turn_id : thread.running;
  const ended = !asks && isFinal(message) && running === message.turn_id;
  next = withThread(next, id, {
    ...thread,
    messages: mergeMessages(thread.messages, [message]),
    running: ended ? null : running,
  });
  return withTurn(next, message.turn_id, id);
}

/** The question that opens a conversation stays pending until `accepted` says where it went. */
function withoutNamed(state: LiveState, clientMessageId: string): LiveState {
  const item = state.pending.find((pending) => pending.clientMessageId === clientMessageId);
  return item?.conversationId ? withoutPending(state, clientMessageId) : state;
}

function subscribed(state: LiveState, id: ConversationId, running: TurnId | null): LiveState {
  const thread = state.threads[id] ?? emptyThread;
  const next = withThread(state, id, { ...thread, running });
  if (!running) return next;
  const known = withTurn(next, running, id);
  const turn = known.turns[running];
  if (!turn) return known;
  return { ...known, turns: { ...known.turns, [running]: { ...turn, mayReplay: true } } };
}

function dropTurn(state: LiveState, turnId: TurnId): LiveState {
  const { [turnId]: turn, ...turns } = state.turns;
  if (!turn) return state;
  const thread = turn.conversationId ? state.threads[turn.conversationId] : undefined;
  const next = { ...state, turns };
  if (!thread || !turn.conversationId || thread.running !== turnId) return next;
  return withThread(next, turn.conversationId, { ...thread, running: null });
}

function failed(state: LiveState, frame: ErrorFrame): LiveState {
  const error = {
    code: frame.code,
    message: frame.message,
    retryAfterMs: frame.retry_after_ms ?? null,
  };
  const { turn_id, client_message_id } = frame;
  if (client_message_id && state.pending.some((p) => p.clientMessageId === client_message_id)) {
    return {
      ...state,
      pending: state.pending.map((item) =>
        item.clientMessageId === client_message_id ? { ...item, error } : item,
      ),
    };
  }
  if (!turn_id) {
    // A refused `subscribe`: the same is told, with a place to show it, by the reading over REST.
    return frame.code === "conversation_not_found" ? state : { ...state, notice: error };
  }
  const turn = state.turns[turn_id];
  // A turn that is not followed here any more has ended, or is read over REST.
  if (!turn) return state;
  // A refused `cancel` says nothing about the turn's own end.
  if (frame.code === "turn_not_found") return state;
  const next = { ...state, turns: { ...state.turns, [turn_id]: { ...turn, error } } };
  return endRunning(next, turn_id, turn.conversationId);
}

function endRunning(
  state: LiveState,
  turnId: TurnId,
  conversationId: ConversationId | null,
): LiveState {
  const turn = state.turns[turnId];
  if (!turn) return state;
  const ended: LiveTurn = { ...turn, phase: "ended" };
  const next = { ...state, turns: { ...state.turns, [turnId]: ended } };
  const thread = conversationId ? next.threads[conversationId] : undefined;
  if (!thread || !conversationId || thread.running !== turnId) return next;
  return withThread(next, conversationId, { ...thread, running: null });
}

function turnFrame(state: LiveState, frame: TurnFrame, at: string): LiveState {
  const before = state.turns[frame.turn_id] ?? newTurn(frame.turn_id, null);
  const turn = applyTurnFrame(before, frame);
  if (turn === before) return state;
  let next: LiveState = { ...state, turns: { ...state.turns, [turn.id]: turn } };
  const id = turn.conversationId;
  const thread = id ? next.threads[id] : undefined;
  if (!id || !thread) return next;
  if (frame.type === "response") {
    const question = thread.messages.find((message) => message.turn_id === turn.id);
    const known = thread.messages.find((message) => message.id === frame.message_id);
    const message = finalMessage(turn, frame, id, known?.created_at ?? at, known ?? null);
    // The clocks of page and server may differ; an answer stands after its question.
    if (question && message.created_at < question.created_at) {
      message.created_at = question.created_at;
    }
    next = withThread(next, id, {
      ...thread,
      messages: mergeMessages(thread.messages, [message]),
    });
    return endRunning(next, turn.id, id);
  }
  if (thread.running !== turn.id && turn.phase !== "ended") {
    next = withThread(next, id, { ...thread, running: turn.id });
  }
  return next;
}
