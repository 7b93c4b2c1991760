// The state of the log search, as it stands in the address.
import type { Level, LineId, PatternOrder, SearchOrder, SourceId } from "../api/types";

export const LEVELS: Level[] = ["trace", "debug", "info", "notice", "warn", "error", "fatal"];
export const SPANS = { "15m": 15, "1h": 60, "6h": 360, "24h": 1440, "7d": 10_080, "30d": 43_200 };
export type Span = keyof typeof SPANS;

const PATTERN_ORDERS: PatternOrder[] = ["count", "rising", "newest"];

export interface LogView {
  q?: string;
  /** The last while; or else `from` and `to`. */
  last?: Span;
  from?: string;
  to?: string;
  level?: Level;
  source?: SourceId;
  order?: SearchOrder;
  /** What the lines have in common, in this order, instead of the lines. */
  patterns?: PatternOrder;
  /** The line whose context is open. */
  line?: LineId;
}

function text(value: unknown): string | undefined {
  if (typeof value === "string" && value !== "") return value;
  return typeof value === "number" || typeof value === "boolean" ? String(value) : undefined;
}

function instant(value: unknown): string | undefined {
  const at = Date.parse(text(value) ?? "");
  return Number.isNaN(at) ? undefined : new Date(at).toISOString();
}

/** What an address says, whoever wrote it; what cannot be read is left out. */
export function readView(search: Record<string, unknown>): LogView {
  const view: LogView = {};
  const q = text(search.q);
  if (q) view.q = q;
  const last = text(search.last);
  if (last && Object.hasOwn(SPANS, last)) {
    view.last = last as Span;
  } else {
    const from = instant(search.from);
    const to = instant(search.to);
    if (from) view.from = from;
    if (to) view.to = to;
  }
  const level = LEVELS.find((known) => known === search.level);
  if (level) view.level = level;
  const source = text(search.source);
  if (source) view.source = source;
  if (search.order === "best") view.order = "best";
  const patterns = PATTERN_ORDERS.find((known) => known === search.patterns);
  if (patterns) view.patterns = patterns;
  const line = text(search.line);
  if (line && /^L\d+$/.test(line)) view.line = line;
  return view;
}

/** The lines of a pattern, among those that are searched. */
export function ofPattern({ patterns: _, line: __, ...view }: LogView, id: string): LogView {
  return { ...view, q: [view.q, `pattern:${id}`].filter(Boolean).join(" ") };
}

/** The query string of `GET /logs/search`; `now` stands still over all pages of one search. */
export function requestOf(view: LogView, now: Date): Record<string, string | undefined> {
  const from = view.last
    ? new Date(now.getTime() - SPANS[view.last] * 60_000).toISOString()
    : view.from;
  return {
    q: view.q,
    from,
    to: view.last ? undefined : view.to,
    level: view.level,
    source_id: view.source,
    order: view.order,
  };
}

/** An instant as `datetime-local` writes it, in UTC, and back. */
export function toInput(instantText: string | undefined): string {
  return instantText ? instantText.slice(0, 19) : "";
}

export function fromInput(value: string): string | undefined {
  return value ? instant(`${value.length === 16 ? `${value}:00` : value}Z`) : undefined;
}
