// The REST types of the server, written after `crates/protocol`. Names and fields are the wire's.

export type UserId = string;
export type SessionId = string;
export type ConversationId = string;
export type TurnId = string;
export type MessageId = string;
export type JobId = string;
export type SourceId = string;
export type RequestId = string;
/** `L` and a decimal number. */
export type LineId = string;
/** RFC 3339 in UTC with milliseconds. */
export type Timestamp = string;

export type Role = "viewer" | "analyst" | "admin";

export type Permission =
  | "account_use"
  | "chat_use"
  | "logs_read"
  | "logs_ingest"
  | "jobs_read"
  | "jobs_manage"
  | "cache_read"
  | "cache_manage"
  | "providers_read";

export interface User {
  id: UserId;
  username: string;
  display_name: string;
  role: Role;
}

export interface Me {
  user: User;
  permissions: Permission[];
}

export interface SetupState {
  required: boolean;
}

export interface Setup {
  token: string;
  username: string;
  display_name: string | null;
  password: string;
  transport: "body" | "cookie";
}

export interface Login {
  username: string;
  password: string;
  transport: "body" | "cookie";
}

export interface SignedIn {
  user: User;
  access_token?: string;
  refresh_token?: string;
  expires_in: number;
  csrf_token?: string;
}

export type Author = "user" | "assistant";
export type MessageStatus = "streaming" | "complete" | "cancelled" | "failed" | "interrupted";
export type FinishReason = "stop" | "length" | "content_filter" | "cancelled" | "error";

export interface Usage {
  input_tokens: number;
  output_tokens: number;
}

export interface Citation {
  line_id: LineId;
  source: string;
  timestamp: Timestamp | null;
  excerpt: string;
}

export interface TimeRange {
  from: Timestamp | null;
  to: Timestamp | null;
}

export interface SearchedEvidence {
  query: string;
  reading: string;
  range: TimeRange;
  covered: TimeRange;
  matched: number;
  searched: number;
  counted: number;
}

export interface Message {
  id: MessageId;
  conversation_id: ConversationId;
  turn_id: TurnId;
  author: Author;
  content: string;
  status: MessageStatus;
  citations: Citation[];
  usage: Usage | null;
  provider: string | null;
  model: string | null;
  cached: boolean;
  evidence: SearchedEvidence | null;
  client_message_id: string | null;
  created_at: Timestamp;
}

export interface Conversation {
  id: ConversationId;
  title: string;
  created_at: Timestamp;
  updated_at: Timestamp;
}

export interface MessageHit {
  message_id: MessageId;
  conversation: Conversation;
  author: Author;
  excerpt: string;
  created_at: Timestamp;
}

export interface ConversationPage {
  items: Conversation[];
  next_cursor: string | null;
}

export interface MessagePage {
  items: Message[];
  next_cursor: string | null;
  running_turn: TurnId | null;
}

export interface MessageHits {
  items: MessageHit[];
}

export type Level = "unknown" | "trace" | "debug" | "info" | "notice" | "warn" | "error" | "fatal";

export interface LogLine {
  id: LineId;
  source_id: SourceId;
  source: string;
  timestamp: Timestamp | null;
  level: Level;
  text: string;
  truncated: boolean;
}

export interface Bucket {
  start: Timestamp;
  count: number;
}

export interface LevelCount {
  level: Level;
  count: number;
}

export type SearchOrder = "newest" | "best";

export interface LogPage {
  lines: LogLine[];
  matched: number;
  histogram: Bucket[];
  bucket_ms: number;
  next_cursor: string | null;
  took_us: number;
}

export interface LineContext {
  before: LogLine[];
  line: LogLine;
  after: LogLine[];
}

export interface SourceStats {
  id: SourceId;
  name: string;
  lines: number;
  covered: TimeRange;
}

export interface LogStats {
  lines: number;
  index_bytes: number;
  covered: TimeRange;
  levels: LevelCount[];
  sources: SourceStats[];
  generation: number;
}

export type JobState = "queued" | "running" | "succeeded" | "failed" | "cancelled";

export interface IngestProgress {
  bytes_total: number;
  bytes_done: number;
  lines: number;
  truncated: number;
  invalid_utf8: number;
  skipped_files: number;
  format: string | null;
}

export interface Job {
  id: JobId;
  kind: string;
  title: string;
  state: JobState;
  progress: IngestProgress;
  source_id: SourceId | null;
  error: { code: string; message: string } | null;
  attempts: number;
  created_by: UserId | null;
  created_at: Timestamp;
  updated_at: Timestamp;
  finished_at: Timestamp | null;
}

/** The body of every failed request. */
export interface ErrorBody {
  code: string;
  message: string;
  link: string;
  request_id: RequestId;
  retry_after_ms?: number;
  details?: unknown;
}
