// One turn's own part of the reducer: seq, steps, restart, text.
import type { ConversationId, Message, MessageStatus } from "../api/types";
import type { TurnFrame } from "./frames";
import { type LiveTurn, newTurn, type Step, shownText } from "./state";

type ResponseFrame = Extract<TurnFrame, { type: "response" }>;
type StepFrame = Extract<TurnFrame, { type: "step" }>;

/** The turn after `frame`; the very same object when the frame tells nothing new. */
export function applyTurnFrame(before: LiveTurn, frame: TurnFrame): LiveTurn {
  let turn = before;
  if (frame.seq <= turn.lastSeq) {
    // Told before. After `subscribed` it is the beginning of a replay from the start; text pieces
    // may then be cut differently, so the turn is built anew.
    if (!turn.mayReplay) return before;
    turn = { ...newTurn(turn.id, turn.conversationId), shownBefore: shownText(turn) };
  }
  const next: LiveTurn = { ...turn, lastSeq: frame.seq, mayReplay: false };
  switch (frame.type) {
    case "stream_start":
      return {
        ...next,
        conversationId: frame.conversation_id,
        phase: "streaming",
        model: frame.model,
        provider: frame.provider,
        cached: frame.cached,
      };
    case "step":
      return { ...next, steps: withStep(next.steps, frame) };
    case "stream_restart":
      return { ...next, text: "", shownBefore: "", restarted: frame.reason };
    case "stream_chunk": {
      const text = next.text + frame.content;
      const caughtUp = text.length >= next.shownBefore.length;
      return { ...next, phase: "streaming", text, shownBefore: caughtUp ? "" : next.shownBefore };
    }
    case "stream_end":
      return {
        ...next,
        finish: frame.finish_reason,
        usage: frame.usage,
        costUsd: frame.cost_usd,
      };
    case "response":
      return {
        ...next,
        phase: "ended",
        text: frame.response,
        shownBefore: "",
        messageId: frame.message_id,
        citations: frame.citations,
        suggestions: frame.suggestions,
      };
  }
}

/** A finished step takes the place of its own beginning. */
function withStep(steps: Step[], frame: StepFrame): Step[] {
  const step: Step = { tool: frame.tool, state: frame.state, summary: frame.summary };
  if (step.state !== "started") {
    const open = steps.findLastIndex((s) => s.tool === step.tool && s.state === "started");
    if (open >= 0) return steps.with(open, step);
  }
  return [...steps, step];
}

function finalStatus(turn: LiveTurn): MessageStatus {
  if (turn.finish === "cancelled") return "cancelled";
  if (turn.finish === "error" || turn.error) return "failed";
  return "complete";
}

/** The answer's message, as far as frames tell it; `known` is what REST told. */
export function finalMessage(
  turn: LiveTurn,
  frame: ResponseFrame,
  conversationId: ConversationId,
  createdAt: string,
  known: Message | null,
): Message {
  return {
    id: frame.message_id,
    conversation_id: conversationId,
    turn_id: turn.id,
    author: "assistant",
    content: frame.response,
    status: finalStatus(turn),
    citations: frame.citations,
    usage: turn.usage ?? known?.usage ?? null,
    cost_usd: turn.costUsd ?? known?.cost_usd ?? null,
    provider: turn.provider ?? known?.provider ?? null,
    model: turn.model ?? known?.model ?? null,
    cached: turn.cached,
    evidence: known?.evidence ?? null,
    client_message_id: null,
    created_at: createdAt,
  };
}
