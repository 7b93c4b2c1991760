// WebSocket frames, written after `crates/protocol/src/frame.rs`.
import type {
  Citation,
  ConversationId,
  FinishReason,
  Message,
  MessageId,
  SessionId,
  Timestamp,
  TurnId,
  Usage,
  User,
} from "../api/types";

export type StepState = "started" | "done" | "failed";
export type SystemKind = "draining" | "mode_set" | "auth_renewed" | "auth_expiring";

export type ClientFrame =
  | {
      type: "message";
      client_message_id: string;
      conversation_id?: ConversationId;
      content: string;
    }
  | { type: "cancel"; turn_id: TurnId }
  | { type: "resume"; turn_id: TurnId; after_seq: number }
  | { type: "subscribe"; conversation_id: ConversationId }
  | { type: "unsubscribe"; conversation_id: ConversationId }
  | { type: "ping" };

export type TurnFrame =
  | {
      type: "stream_start";
      turn_id: TurnId;
      conversation_id: ConversationId;
      seq: number;
      model: string;
      provider: string;
      cached: boolean;
    }
  | {
      type: "step";
      turn_id: TurnId;
      seq: number;
      tool: string;
      state: StepState;
      summary: string;
    }
  | { type: "stream_restart"; turn_id: TurnId; seq: number; reason: string }
  | { type: "stream_chunk"; turn_id: TurnId; seq: number; content: string }
  | {
      type: "stream_end";
      turn_id: TurnId;
      seq: number;
      finish_reason: FinishReason;
      usage: Usage;
      cost_usd: number;
    }
  | {
      type: "response";
      turn_id: TurnId;
      seq: number;
      message_id: MessageId;
      response: string;
      citations: Citation[];
      suggestions: string[];
    };

export interface ConnectedFrame {
  type: "connected";
  session_id: SessionId;
  user: User;
  heartbeat_s: number;
  protocol: number;
}

export interface AcceptedFrame {
  type: "accepted";
  client_message_id: string;
  conversation_id: ConversationId;
  message_id: MessageId;
  turn_id: TurnId;
}

export interface ErrorFrame {
  type: "error";
  code: string;
  message: string;
  retry_after_ms?: number;
  turn_id?: TurnId;
  client_message_id?: string;
}

export interface SystemFrame {
  type: "system";
  kind: SystemKind;
  message: string;
  reconnect_after_ms?: number;
}

export type ServerFrame =
  | TurnFrame
  | ConnectedFrame
  | AcceptedFrame
  | ErrorFrame
  | SystemFrame
  | { type: "subscribed"; conversation_id: ConversationId; running_turn: TurnId | null }
  | { type: "message"; message: Message }
  | { type: "resumed"; turn_id: TurnId; recovered: boolean }
  | { type: "typing"; conversation_id: ConversationId; session_id: SessionId; on: boolean }
  | { type: "presence"; conversation_id: ConversationId; watching: number }
  | { type: "pong"; at: Timestamp };

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
