// What is searched: the query and its limits. The address holds all of it.

import { useQuery } from "@tanstack/react-query";
import { type FormEvent, type ReactNode, useEffect, useId, useRef, useState } from "react";
import { logStatsQuery } from "../api/queries";
import type { Level } from "../api/types";
import { Button } from "../ui/Button";
import { SearchIcon } from "../ui/icons";
import { fromInput, LEVELS, type LogView, SPANS, type Span, toInput } from "./view";

const SPAN_NAMES: Record<Span, string> = {
  "15m": "Last 15 minutes",
  "1h": "Last hour",
  "6h": "Last 6 hours",
  "24h": "Last 24 hours",
  "7d": "Last 7 days",
  "30d": "Last 30 days",
};
const CUSTOM = "custom";

interface LogFiltersProps {
  view: LogView;
  onChange: (view: LogView) => void;
  /** Why the query cannot be read. */
  queryError: string | undefined;
  /** The same search once more. */
  onAgain: () => void;
}

/** Without the keys that are set to nothing. */
function without(view: LogView, ...keys: (keyof LogView)[]): LogView {
  return Object.fromEntries(
    Object.entries(view).filter(([key]) => !keys.includes(key as keyof LogView)),
  );
}

export function LogFilters({ view, onChange, queryError, onAgain }: LogFiltersProps) {
  const custom = Boolean(view.from ?? view.to);
  const [showCustom, setShowCustom] = useState(custom);
  useEffect(() => {
    if (custom) setShowCustom(true);
  }, [custom]);
  const setSpan = (value: string): void => {
    const rest = without(view, "last", "from", "to");
    setShowCustom(value === CUSTOM);
    if (value === CUSTOM) onChange(without(view, "last"));
    else onChange(value ? { ...rest, last: value as Span } : rest);
  };
  return (
    <div className="flex flex-col gap-2 px-4 pt-3">
      <QueryField view={view} onChange={onChange} error={queryError} onAgain={onAgain} />
      <div className="flex flex-wrap items-end gap-x-2 gap-y-1.5">
        <Choice label="Time" value={showCustom ? CUSTOM : (view.last ?? "")} onChange={setSpan}>
          <option value="">All time</option>
          {(Object.keys(SPANS) as Span[]).map((span) => (
            <option key={span} value={span}>
              {SPAN_NAMES[span]}
            </option>
          ))}
          <option value={CUSTOM}>From … to</option>
        </Choice>
        <Choice
          label="Level"
          value={view.level ?? ""}
          onChange={(value) =>
            onChange(value ? { ...view, level: value as Level } : without(view, "level"))
          }
        >
          <option value="">Any</option>
          {LEVELS.map((level) => (
            <option key={level} value={level}>
              {level} and above
            </option>
          ))}
        </Choice>
        <SourceChoice view={view} onChange={onChange} />
        <Choice
          label="Order"
          value={view.order ?? "newest"}
          onChange={(value) =>
            onChange(value === "best" ? { ...view, order: "best" } : without(view, "order"))
          }
        >
          <option value="newest">Newest first</option>
          <option value="best">Best match first</option>
        </Choice>
      </div>
      {showCustom && (
        <div className="flex flex-wrap items-end gap-x-2 gap-y-1.5">
          <Instant
            label="From (UTC)"
            value={view.from}
            onChange={(from) => onChange(from ? { ...view, from } : without(view, "from"))}
          />
          <Instant
            label="To (UTC)"
            value={view.to}
            onChange={(to) => onChange(to ? { ...view, to } : without(view, "to"))}
          />
          <Button look="quiet" onClick={() => setSpan("")}>
            Clear
          </Button>
        </div>
      )}
    </div>
  );
}

interface QueryFieldProps {
  view: LogView;
  onChange: (view: LogView) => void;
  error: string | undefined;
  onAgain: () => void;
}

function QueryField({ view, onChange, error, onAgain }: QueryFieldProps) {
  const id = useId();
  const [text, setText] = useState(view.q ?? "");
  useEffect(() => setText(view.q ?? ""), [view.q]);
  const submit = (event: FormEvent): void => {
    event.preventDefault();
    const q = text.trim();
    if (q === (view.q ?? "")) onAgain();
    else onChange(q ? { ...view, q } : without(view, "q"));
  };
  return (
    <search>
      <form onSubmit={submit}>
        <label htmlFor={id} className="sr-only">
          Query
        </label>
        <div className="flex gap-2">
          <div className="relative min-w-0 flex-1">
            <SearchIcon className="pointer-events-none absolute top-2 left-2.5 size-4 text-soft" />
            <input
              id={id}
              type="search"
              className={`field pl-8 font-mono ${error ? "border-bad" : ""}`}
              placeholder={'failed password -root "port 22" level:error'}
              autoCapitalize="none"
              spellCheck={false}
              value={text}
              aria-invalid={error ? true : undefined}
              aria-describedby={`${id}-note`}
              onChange={(event) => setText(event.target.value)}
            />
          </div>
          <Button type="submit" look="primary">
            Search
          </Button>
        </div>
        <p id={`${id}-note`} className={`mt-1 text-xs ${error ? "text-bad" : "text-soft"}`}>
          {error ?? 'All words must occur. "A phrase", -word to exclude, level:error, source:name.'}
        </p>
      </form>
    </search>
  );
}

interface ChoiceProps {
  label: string;
  value: string;
  onChange: (value: string) => void;
  children: ReactNode;
}

function Choice({ label, value, onChange, children }: ChoiceProps) {
  const id = useId();
  return (
    <div className="flex min-w-28 flex-1 flex-col sm:max-w-48">
      <label htmlFor={id} className="text-2xs text-soft">
        {label}
      </label>
      <select
        id={id}
        className="field border-line py-1"
        value={value}
        onChange={(event) => onChange(event.target.value)}
      >
        {children}
      </select>
    </div>
  );
}

function SourceChoice({ view, onChange }: Pick<LogFiltersProps, "view" | "onChange">) {
  const stats = useQuery(logStatsQuery);
  const sources = stats.data?.sources ?? [];
  const known = sources.some((source) => source.id === view.source);
  return (
    <Choice
      label="Source"
      value={view.source ?? ""}
      onChange={(value) => onChange(value ? { ...view, source: value } : without(view, "source"))}
    >
      <option value="">{stats.isError ? "All (list not read)" : "All"}</option>
      {view.source && !known && <option value={view.source}>{view.source}</option>}
      {sources.map((source) => (
        <option key={source.id} value={source.id}>
          {source.name}
        </option>
      ))}
    </Choice>
  );
}

interface InstantProps {
  label: string;
  value: string | undefined;
  onChange: (value: string | undefined) => void;
}

/** Written to the address when it is left or Enter is pressed, not with every digit. */
function Instant({ label, value, onChange }: InstantProps) {
  const id = useId();
  const field = useRef<HTMLInputElement>(null);
  const commit = (): void => {
    const next = fromInput(field.current?.value ?? "");
    if (toInput(next) !== toInput(value)) onChange(next);
  };
  return (
    <div className="flex flex-col">
      <label htmlFor={id} className="text-2xs text-soft">
        {label}
      </label>
      <input
        id={id}
        key={value}
        ref={field}
        type="datetime-local"
        step="1"
        className="field border-line py-1"
        defaultValue={toInput(value)}
        onBlur={commit}
        onKeyDown={(event) => event.key === "Enter" && commit()}
      />
    </div>
  );
}
