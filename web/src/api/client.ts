// The one way to the server over HTTP: cookies, the CSRF header, and one refresh on 401 that all
// concurrent requests, in all tabs, share.
import { ApiError, OfflineError } from "./error";
import type { ErrorBody, SignedIn } from "./types";

const CSRF_COOKIE = "callboard_csrf";
const CSRF_HEADER = "X-CSRF-Token";
const REFRESHED_AT = "callboard.refreshed_at";
const REFRESH_LOCK = "callboard-refresh";
/** Their 401 is about what was typed, or about the refresh token itself. */
const OWN_401 = new Set([
  "/auth/login",
  "/auth/setup",
  "/auth/link",
  "/auth/refresh",
  "/auth/logout",
]);

export interface RequestOptions {
  method?: "GET" | "POST" | "PATCH" | "DELETE";
  query?: Record<string, string | number | undefined | null>;
  json?: unknown;
  body?: Blob;
  signal?: AbortSignal | undefined;
}

export interface Environment {
  fetch: typeof fetch;
  cookies: () => string;
  now: () => number;
  storage: Pick<Storage, "getItem" | "setItem">;
  locks: Pick<LockManager, "request"> | undefined;
}

export function cookie(name: string, cookies: string): string | undefined {
  for (const part of cookies.split(";")) {
    const [key, ...value] = part.trim().split("=");
    if (key === name) return decodeURIComponent(value.join("="));
  }
  return undefined;
}

function url(path: string, query: RequestOptions["query"]): string {
  const parameters = new URLSearchParams();
  for (const [key, value] of Object.entries(query ?? {})) {
    if (value !== undefined && value !== null && value !== "") parameters.set(key, String(value));
  }
  const text = parameters.toString();
  return `/api/v1${path}${text ? `?${text}` : ""}`;
}

async function failure(response: Response): Promise<ApiError> {
  const requestId = response.headers.get("x-request-id");
  try {
    return new ApiError(response.status, (await response.json()) as ErrorBody, requestId);
  } catch {
    return new ApiError(response.status, {}, requestId);
  }
}

export class ApiClient {
  /** Called when the session is over and cannot be renewed. */
  onSignedOut: () => void = () => {};
  private csrfToken: string | undefined;
  private refreshing: Promise<boolean> | undefined;
  private readonly env: Environment;

  constructor(env: Environment) {
    this.env = env;
  }

  async request<T>(path: string, options: RequestOptions = {}): Promise<T> {
    const sentAt = this.env.now();
    let response = await this.send(path, options);
    if (response.status === 401 && !OWN_401.has(path)) {
      if (await this.refresh(sentAt)) response = await this.send(path, options);
      if (response.status === 401) this.onSignedOut();
    }
    if (!response.ok) throw await failure(response);
    if (response.status === 204 || response.headers.get("content-length") === "0") {
      return undefined as T;
    }
    try {
      const value = (await response.json()) as T;
      this.remember(value);
      return value;
    } catch (cause) {
      throw new OfflineError(cause);
    }
  }

  /**
   * Renews the session; false when it is over. A refresh token is good for one use, so only one
   * refresh runs at a time, and none when another tab renewed after `since`.
   */
  refresh(since: number = this.env.now()): Promise<boolean> {
    this.refreshing ??= this.locked(() => this.refreshOnce(since)).finally(() => {
      this.refreshing = undefined;
    });
    return this.refreshing;
  }

  private async refreshOnce(since: number): Promise<boolean> {
    if (Number(this.env.storage.getItem(REFRESHED_AT) ?? 0) > since) return true;
    const response = await this.send("/auth/refresh", { method: "POST", json: {} });
    if (response.ok) {
      this.remember(await response.json());
      this.env.storage.setItem(REFRESHED_AT, String(this.env.now()));
      return true;
    }
    // Anything but "your token is bad" says nothing about the session.
    if (response.status >= 500 || response.status === 429) throw await failure(response);
    return false;
  }

  private async locked(work: () => Promise<boolean>): Promise<boolean> {
    const { locks } = this.env;
    return locks ? await locks.request(REFRESH_LOCK, work) : await work();
  }

  private remember(value: unknown): void {
    if (typeof value === "object" && value !== null && "csrf_token" in value) {
      this.csrfToken = (value as SignedIn).csrf_token;
    }
  }

  private async send(path: string, options: RequestOptions): Promise<Response> {
    const method = options.method ?? "GET";
    const headers = new Headers({ Accept: "application/json" });
    let body: BodyInit | undefined;
    if (options.json !== undefined) {
      headers.set("Content-Type", "application/json");
      body = JSON.stringify(options.json);
    } else if (options.body) {
      headers.set("Content-Type", "application/octet-stream");
      body = options.body;
    }
    if (method !== "GET") {
      // The cookie first: another tab may have renewed it.
      const token = cookie(CSRF_COOKIE, this.env.cookies()) ?? this.csrfToken;
      if (token) headers.set(CSRF_HEADER, token);
    }
    const init: RequestInit = { method, headers, credentials: "same-origin", cache: "no-store" };
    if (body !== undefined) init.body = body;
    if (options.signal) init.signal = options.signal;
    try {
      return await this.env.fetch(url(path, options.query), init);
    } catch (cause) {
      if (options.signal?.aborted) throw cause;
      throw new OfflineError(cause);
    }
  }
}

export const api = new ApiClient({
  fetch: (input, init) => fetch(input, init),
  cookies: () => document.cookie,
  now: () => Date.now(),
  storage: localStorage,
  locks: navigator.locks,
});
