// The server's types, by their own names: schema.d.ts is generated from docs/openapi.json
// (`scripts/generate`), and knows more of them than the page needs.
import type { components } from "./schema";

export type Schemas = components["schemas"];

export type Bucket = Schemas["Bucket"];
export type Citation = Schemas["Citation"];
export type Conversation = Schemas["Conversation"];
export type ConversationId = Schemas["ConversationId"];
export type ConversationPage = Schemas["ConversationPage"];
export type ErrorBody = Schemas["ErrorBody"];
export type FinishReason = Schemas["FinishReason"];
export type IngestProgress = Schemas["IngestProgress"];
export type Job = Schemas["Job"];
export type JobId = Schemas["JobId"];
export type Level = Schemas["Level"];
export type LineContext = Schemas["LineContext"];
export type LineId = Schemas["LineId"];
export type LogLine = Schemas["LogLine"];
export type LogPage = Schemas["LogPage"];
export type LogStats = Schemas["LogStats"];
export type Login = Schemas["Login"];
export type Me = Schemas["Me"];
export type Message = Schemas["Message"];
export type MessageHits = Schemas["MessageHits"];
export type MessageId = Schemas["MessageId"];
export type MessagePage = Schemas["MessagePage"];
export type MessageStatus = Schemas["MessageStatus"];
export type PatternCount = Schemas["PatternCount"];
export type PatternOrder = Schemas["PatternOrder"];
export type PatternPage = Schemas["PatternPage"];
export type SearchOrder = Schemas["SearchOrder"];
export type SearchedEvidence = Schemas["SearchedEvidence"];
export type Setup = Schemas["Setup"];
export type UseLink = Schemas["UseLink"];
export type SetupState = Schemas["SetupState"];
export type SignedIn = Schemas["SignedIn"];
export type SourceId = Schemas["SourceId"];
export type StepState = Schemas["StepState"];
export type TurnId = Schemas["TurnId"];
export type Usage = Schemas["Usage"];
export type User = Schemas["User"];
