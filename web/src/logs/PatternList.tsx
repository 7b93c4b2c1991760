// What the found lines have in common. A click on a pattern shows its lines.
import { useQuery } from "@tanstack/react-query";
import type { PatternCount, PatternOrder } from "../api/types";
import { Failure } from "../ui/Failure";
import { count, plural, utcSeconds } from "../ui/format";
import { LevelTag } from "./LevelTag";
import { patternsQuery } from "./searchQuery";
import { type LogView, ofPattern } from "./view";

const ORDERS: Record<PatternOrder, string> = {
  count: "Most lines",
  rising: "Rising",
  newest: "Newest",
};

/** From so many times as often as before on, a pattern counts as rising. */
const RISING = 2;
const HEIGHT = 20;

interface PatternListProps {
  view: LogView;
  onChange: (view: LogView) => void;
}

export function PatternList({ view, onChange }: PatternListProps) {
  const found = useQuery(patternsQuery(view));
  if (found.isPending) {
    return (
      <p role="status" className="px-4 py-3 text-soft">
        Searching
      </p>
    );
  }
  if (found.isError) {
    return (
      <Failure title="The search failed" error={found.error} onRetry={() => void found.refetch()} />
    );
  }
  const { patterns, matched, found: all, took_us } = found.data;
  return (
    <>
      <div className="flex flex-wrap items-center gap-x-4 gap-y-1 border-b border-line px-4 pt-2 pb-1.5 text-xs text-soft">
        <p role="status" className="flex-1 tabular-nums">
          {plural(all, "pattern")} in {plural(matched, "line")}, {(took_us / 1000).toFixed(1)} ms
          {patterns.length < all && `, ${count(patterns.length)} shown`}
        </p>
        <fieldset className="flex gap-3">
          <legend className="sr-only">Which patterns come first</legend>
          {(Object.keys(ORDERS) as PatternOrder[]).map((order) => (
            <label key={order} className="flex items-center gap-1">
              <input
                type="radio"
                name="pattern-order"
                checked={(view.patterns ?? "count") === order}
                onChange={() => onChange({ ...view, patterns: order })}
              />
              {ORDERS[order]}
            </label>
          ))}
        </fieldset>
      </div>
      {patterns.length === 0 ? (
        <p role="status" className="px-4 py-14 text-center font-semibold">
          No line matches
        </p>
      ) : (
        <ol aria-label="Patterns" className="min-h-0 flex-1 overflow-auto">
          {patterns.map((pattern) => (
            <Row
              key={pattern.id}
              pattern={pattern}
              onOpen={() => onChange(ofPattern(view, pattern.id))}
            />
          ))}
        </ol>
      )}
    </>
  );
}

function Row({ pattern, onOpen }: { pattern: PatternCount; onOpen: () => void }) {
  const gravest = pattern.levels.at(-1)?.level;
  const isNew = pattern.trend.slice(0, -6).every((lines) => lines === 0);
  const last = pattern.example.timestamp;
  return (
    <li className="border-b border-line/60">
      <button
        type="button"
        className="flex w-full flex-col gap-x-3 gap-y-1 px-4 py-2 text-left text-xs hover:bg-hover md:flex-row md:items-center"
        title="Show its lines"
        onClick={onOpen}
      >
        <span className="flex shrink-0 items-center gap-3">
          <span className="w-16 text-right font-semibold tabular-nums">{count(pattern.count)}</span>
          <Trend counts={pattern.trend} />
          {gravest && <LevelTag level={gravest} />}
        </span>
        <Template text={pattern.template} />
        <span className="flex shrink-0 items-center gap-3 text-soft tabular-nums">
          {isNew && pattern.trend.length > 0 && <span className="text-accent">new</span>}
          {!isNew && pattern.change >= RISING && (
            <span className="text-accent">×{pattern.change.toFixed(1)}</span>
          )}
          {last && <span>{utcSeconds(last)}</span>}
        </span>
      </button>
    </li>
  );
}

/** What differs from line to line stands back. */
function Template({ text }: { text: string }) {
  const parts = text.split("<*>");
  return (
    <span className="min-w-0 flex-1 font-mono [overflow-wrap:anywhere]">
      {parts.map((part, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: the parts have no other name
        <span key={index}>
          {part}
          {index < parts.length - 1 && <span className="text-soft">‹*›</span>}
        </span>
      ))}
    </span>
  );
}

function Trend({ counts }: { counts: number[] }) {
  const most = Math.max(...counts, 1);
  return (
    <svg
      aria-hidden="true"
      viewBox={`0 0 ${Math.max(counts.length, 1)} ${HEIGHT}`}
      preserveAspectRatio="none"
      className="h-5 w-24 border-b border-line"
    >
      {counts.map((lines, index) => {
        const height = lines === 0 ? 0 : Math.max(1, (lines / most) * HEIGHT);
        return (
          <rect
            // biome-ignore lint/suspicious/noArrayIndexKey: slices of time
            key={index}
            x={index + 0.08}
            y={HEIGHT - height}
            width="0.84"
            height={height}
            className="fill-accent"
          />
        );
      })}
    </svg>
  );
}
