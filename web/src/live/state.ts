// What the page knows of conversations: pure values, changed only by `reduce`.
import type {
  Citation,
  ConversationId,
  FinishReason,
  Message,
  MessageId,
  StepState,
  TurnId,
  Usage,
} from "../api/types";

export interface Step {
  tool: string;
  state: StepState;
  summary: string;
}

export interface TurnError {
  code: string;
  message: string;
  retryAfterMs: number | null;
}

/** A turn as its frames tell it. It stays after its end, for what a stored message does not hold. */
export interface LiveTurn {
  id: TurnId;
  conversationId: ConversationId | null;
  lastSeq: number;
  /** Set by `subscribed`: the turn may now be told again from its start. */
  mayReplay: boolean;
  phase: "waiting" | "streaming" | "ended";
  text: string;
  /** What was shown before a replay began; shown until the replay has come as far. */
  shownBefore: string;
  steps: Step[];
  restarted: string | null;
  provider: string | null;
  model: string | null;
  cached: boolean;
  finish: FinishReason | null;
  usage: Usage | null;
  costUsd: number | null;
  messageId: MessageId | null;
  citations: Citation[];
  suggestions: string[];
  error: TurnError | null;
}

/** A question that the server has not yet accepted. */
export interface Pending {
  clientMessageId: string;
  /** None for the question that opens a conversation. */
  conversationId: ConversationId | null;
  content: string;
  /** Why it was refused; it is not sent again by itself. */
  error: TurnError | null;
}

export type Loading =
  | { state: "loading" }
  | { state: "ready" }
  | { state: "failed"; error: unknown };

export interface Thread {
  /** Sorted by time, each id once. */
  messages: Message[];
  running: TurnId | null;
  older: string | null;
  loading: Loading;
}

export interface LiveState {
  threads: Record<ConversationId, Thread>;
  turns: Record<TurnId, LiveTurn>;
  pending: Pending[];
  /** Where the questions that opened a conversation went: client message id → conversation. */
  opened: Record<string, ConversationId>;
  /** An error that belongs to no turn and no message. */
  notice: TurnError | null;
}

export const emptyState: LiveState = {
  threads: {},
  turns: {},
  pending: [],
  opened: {},
  notice: null,
};

export const emptyThread: Thread = {
  messages: [],
  running: null,
  older: null,
  loading: { state: "loading" },
};

export function newTurn(id: TurnId, conversationId: ConversationId | null): LiveTurn {
  return {
    id,
    conversationId,
    lastSeq: 0,
    mayReplay: false,
    phase: "waiting",
    text: "",
    shownBefore: "",
    steps: [],
    restarted: null,
    provider: null,
    model: null,
    cached: false,
    finish: null,
    usage: null,
    costUsd: null,
    messageId: null,
    citations: [],
    suggestions: [],
    error: null,
  };
}

/** The text to show: a replay that has not yet caught up does not make the answer shrink. */
export function shownText(turn: LiveTurn): string {
  return turn.shownBefore.startsWith(turn.text) ? turn.shownBefore : turn.text;
}
