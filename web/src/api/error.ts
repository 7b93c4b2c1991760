// What can go wrong with a request: the server's own error, or no answer at all.
import type { ErrorBody } from "./types";

export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly status: number;
  readonly code: string;
  readonly requestId: string | null;
  readonly retryAfterMs: number | null;
  readonly details: unknown;

  constructor(status: number, body: Partial<ErrorBody>, requestId: string | null = null) {
    super(body.message ?? `The server answered with status ${status}.`);
    this.status = status;
    this.code = body.code ?? `http_${status}`;
    this.requestId = body.request_id ?? requestId;
    this.retryAfterMs = body.retry_after_ms ?? null;
    this.details = body.details;
  }
}

/** The server could not be reached, or its answer broke off. */
export class OfflineError extends Error {
  override readonly name = "OfflineError";
  readonly code = "offline";

  constructor(cause: unknown) {
    super("Callboard cannot be reached. Check the connection and try again.", { cause });
  }
}

export function errorCode(error: unknown): string {
  if (error instanceof ApiError || error instanceof OfflineError) return error.code;
  return "page_error";
}

export function errorMessage(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

export function isSignedOut(error: unknown): boolean {
  return error instanceof ApiError && error.status === 401;
}

/** The sentence for one field, when the server named the fields that broke a rule. */
export function fieldError(error: unknown, field: string): string | undefined {
  if (!(error instanceof ApiError) || typeof error.details !== "object" || !error.details) {
    return undefined;
  }
  const details = error.details as Record<string, unknown>;
  const fields = (details.fields ?? details) as Record<string, unknown>;
  if (fields && typeof fields[field] === "string") return fields[field];
  return details.field === field ? error.message : undefined;
}
