// Matching lines over time. Drag over a part, or click a bar, to search only there; by keyboard the
// two time fields do the same.
import { type PointerEvent, useRef, useState } from "react";
import type { Bucket } from "../api/types";
import { count, utcSeconds } from "../ui/format";

interface HistogramProps {
  buckets: Bucket[];
  bucketMs: number;
  onRange: (from: string, to: string) => void;
}

const HEIGHT = 56;
const LEAST_BAR = 2;

export function Histogram({ buckets, bucketMs, onRange }: HistogramProps) {
  const box = useRef<HTMLDivElement>(null);
  const [hovered, setHovered] = useState<number | null>(null);
  const [anchor, setAnchor] = useState<number | null>(null);
  const first = buckets[0];
  const last = buckets.at(-1);
  if (!first || !last) return null;
  const most = Math.max(...buckets.map((bucket) => bucket.count), 1);
  const total = buckets.reduce((sum, bucket) => sum + bucket.count, 0);
  const end = new Date(Date.parse(last.start) + bucketMs).toISOString();
  const at = (event: PointerEvent): number => {
    const rect = box.current?.getBoundingClientRect();
    if (!rect || rect.width === 0) return 0;
    const index = Math.floor(((event.clientX - rect.left) / rect.width) * buckets.length);
    return Math.min(buckets.length - 1, Math.max(0, index));
  };
  const select = (index: number): void => {
    const low = buckets[Math.min(anchor ?? index, index)];
    const high = buckets[Math.max(anchor ?? index, index)];
    setAnchor(null);
    if (!low || !high) return;
    onRange(low.start, new Date(Date.parse(high.start) + bucketMs).toISOString());
  };
  const shown = hovered === null ? null : buckets[hovered];
  const selected =
    anchor === null || hovered === null ? null : [anchor, hovered].sort((a, b) => a - b);
  return (
    <figure className="px-4 pt-2 pb-1">
      <div
        ref={box}
        className="touch-pan-y cursor-crosshair select-none"
        onPointerDown={(event) => {
          event.currentTarget.setPointerCapture(event.pointerId);
          setAnchor(at(event));
          setHovered(at(event));
        }}
        onPointerMove={(event) => setHovered(at(event))}
        onPointerUp={(event) => anchor !== null && select(at(event))}
        onPointerCancel={() => setAnchor(null)}
        onPointerLeave={() => setHovered(null)}
      >
        <svg
          role="img"
          aria-label={`${count(total)} matching lines from ${utcSeconds(first.start)} to ${utcSeconds(end)} UTC, at most ${count(most)} in one slice`}
          viewBox={`0 0 ${buckets.length} ${HEIGHT}`}
          preserveAspectRatio="none"
          className="block h-14 w-full border-b border-line"
        >
          {selected && (
            <rect
              x={selected[0]}
              y="0"
              width={(selected[1] ?? 0) - (selected[0] ?? 0) + 1}
              height={HEIGHT}
              className="fill-accent-soft"
            />
          )}
          {buckets.map((bucket, index) => {
            const height =
              bucket.count === 0 ? 0 : Math.max(LEAST_BAR, (bucket.count / most) * (HEIGHT - 2));
            return (
              <rect
                key={bucket.start}
                x={index + 0.08}
                y={HEIGHT - height}
                width="0.84"
                height={height}
                className={index === hovered ? "fill-ink" : "fill-accent"}
              />
            );
          })}
        </svg>
      </div>
      <figcaption className="flex justify-between gap-2 pt-0.5 text-2xs text-soft tabular-nums">
        <span>{utcSeconds(first.start)}</span>
        {shown && (
          <span className="hidden text-ink sm:inline">
            {utcSeconds(shown.start)} · {count(shown.count)}
          </span>
        )}
        <span>{utcSeconds(end)} UTC</span>
      </figcaption>
    </figure>
  );
}
