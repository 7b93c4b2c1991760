// Values for tests, whole and with what a test is about set by it.
import type { Message, MessagePage } from "../api/types";
import type { ServerFrame } from "../live/frames";
import type { LiveEvent } from "../live/reduce";
import { reduce } from "../live/reduce";
import { emptyState, type LiveState } from "../live/state";

export const AT = "2026-11-21T10:00:00.000Z";

export function message(over: Partial<Message> = {}): Message {
  return {
    id: "m1",
    conversation_id: "c1",
    turn_id: "t1",
    author: "user",
    content: "why?",
    status: "complete",
    citations: [],
    usage: null,
    cost_usd: null,
    provider: null,
    model: null,
    cached: false,
    evidence: null,
    client_message_id: null,
    created_at: AT,
    ...over,
  };
}

export function page(over: Partial<MessagePage> = {}): MessagePage {
  return { items: [], next_cursor: null, running_turn: null, ...over };
}

export function loaded(over: Partial<MessagePage> = {}, older = false): LiveEvent {
  return { kind: "loaded", conversationId: "c1", page: page(over), older };
}

export function frame(value: ServerFrame): LiveEvent {
  return { kind: "frame", frame: value, at: AT };
}

export function stateAfter(...events: LiveEvent[]): LiveState {
  return events.reduce(reduce, emptyState);
}

/** Frames of turn `t1` in conversation `c1`. */
export const turn = {
  start: (seq: number): LiveEvent =>
    frame({
      type: "stream_start",
      turn_id: "t1",
      conversation_id: "c1",
      seq,
      model: "big",
      provider: "local",
      cached: false,
    }),
  chunk: (seq: number, content: string): LiveEvent =>
    frame({ type: "stream_chunk", turn_id: "t1", seq, content }),
  restart: (seq: number): LiveEvent =>
    frame({ type: "stream_restart", turn_id: "t1", seq, reason: "the provider failed" }),
  end: (seq: number, finish: "stop" | "cancelled" | "error" = "stop"): LiveEvent =>
    frame({
      type: "stream_end",
      turn_id: "t1",
      seq,
      finish_reason: finish,
      usage: { input_tokens: 10, output_tokens: 2 },
      cost_usd: 0.5,
    }),
  response: (seq: number, response: string): LiveEvent =>
    frame({
      type: "response",
      turn_id: "t1",
      seq,
      message_id: "m2",
      response,
      citations: [{ line_id: "L1", source: "app", timestamp: null, excerpt: "x" }],
      suggestions: [],
    }),
  subscribed: (running: string | null): LiveEvent =>
    frame({ type: "subscribed", conversation_id: "c1", running_turn: running }),
};
