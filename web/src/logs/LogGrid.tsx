// The found lines, of which only the visible ones are in the page. Keys: j and k or the arrows move,
// Home and End jump, Enter opens the line in its context. The rows are not a <table>: they are placed by the virtualiser, and the
// grid holds the focus for them.
import { useVirtualizer } from "@tanstack/react-virtual";
import { type KeyboardEvent, type ReactNode, useRef, useState } from "react";
import type { LineId, LogLine } from "../api/types";
import { utc } from "../ui/format";
import { useMediaQuery } from "../ui/hooks";
import { LevelTag } from "./LevelTag";

const ROW_PX = 28;
/** On phones a row has two lines. */
const TALL_ROW_PX = 52;

interface LogGridProps {
  lines: LogLine[];
  open: LineId | undefined;
  onOpen: (id: LineId, opener: HTMLElement) => void;
  footer: ReactNode;
}

const rowId = (id: LineId): string => `row-${id}`;

export function LogGrid({ lines, open, onOpen, footer }: LogGridProps) {
  const box = useRef<HTMLDivElement>(null);
  const grid = useRef<HTMLDivElement>(null);
  const wide = useMediaQuery("(min-width: 48rem)");
  const [current, setCurrent] = useState(0);
  const rows = useVirtualizer({
    count: lines.length,
    getScrollElement: () => box.current,
    estimateSize: () => (wide ? ROW_PX : TALL_ROW_PX),
    overscan: 12,
    // A row has one height; a change of the layout measures all anew.
    getItemKey: (index) => `${wide}-${lines[index]?.id}`,
  });
  const move = (to: number): void => {
    const index = Math.min(lines.length - 1, Math.max(0, to));
    setCurrent(index);
    rows.scrollToIndex(index);
  };
  const page = Math.max(1, Math.floor((box.current?.clientHeight ?? 0) / ROW_PX) - 1);
  const moves: Record<string, number> = {
    j: current + 1,
    ArrowDown: current + 1,
    k: current - 1,
    ArrowUp: current - 1,
    PageDown: current + page,
    PageUp: current - page,
    Home: 0,
    End: lines.length - 1,
  };
  const onKeyDown = (event: KeyboardEvent<HTMLDivElement>): void => {
    if (event.target !== event.currentTarget) return;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const to = moves[event.key];
    const line = lines[current];
    if (to !== undefined) {
      event.preventDefault();
      move(to);
    } else if (event.key === "Enter" && line) {
      event.preventDefault();
      onOpen(line.id, event.currentTarget);
    }
  };
  const active = lines[current];
  return (
    <div ref={box} className="min-h-0 flex-1 overflow-auto">
      <div
        ref={grid}
        role="grid"
        aria-label="Found lines"
        aria-rowcount={lines.length}
        aria-activedescendant={active ? rowId(active.id) : undefined}
        tabIndex={0}
        data-narrow={open ? "" : undefined}
        // The row that has the focus shows it; the grid is taller than the window.
        className="group relative outline-none"
        style={{ height: rows.getTotalSize() }}
        onKeyDown={onKeyDown}
      >
        {rows.getVirtualItems().map((item) => {
          const line = lines[item.index];
          if (!line) return null;
          return (
            <Row
              key={item.key}
              line={line}
              index={item.index}
              top={item.start}
              height={item.size}
              current={item.index === current}
              open={line.id === open}
              onOpen={() => {
                setCurrent(item.index);
                if (grid.current) onOpen(line.id, grid.current);
              }}
            />
          );
        })}
      </div>
      {footer}
    </div>
  );
}

interface RowProps {
  line: LogLine;
  index: number;
  top: number;
  height: number;
  current: boolean;
  open: boolean;
  onOpen: () => void;
}

function Row({ line, index, top, height, current, open, onOpen }: RowProps) {
  const look = open ? "bg-accent-soft" : "hover:bg-hover";
  const focus = current
    ? "group-focus-visible:outline-2 group-focus-visible:-outline-offset-2 group-focus-visible:outline-accent"
    : "";
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: the grid handles the keys
    <div
      id={rowId(line.id)}
      role="row"
      aria-rowindex={index + 1}
      aria-selected={open}
      className={`absolute inset-x-0 flex cursor-pointer flex-col justify-center gap-x-3 border-b border-line/60 px-4 font-mono text-xs md:flex-row md:items-center md:justify-start ${look} ${focus}`}
      style={{ transform: `translateY(${top}px)`, height }}
      onClick={onOpen}
    >
      <div className="flex shrink-0 items-center gap-3">
        <span role="gridcell" className="w-42 shrink-0 text-soft tabular-nums">
          {line.timestamp ? utc(line.timestamp) : "no time"}
        </span>
        <span role="gridcell" className="shrink-0">
          <LevelTag level={line.level} />
        </span>
        <span
          role="gridcell"
          className="max-w-32 truncate text-soft md:max-2xl:group-data-narrow:hidden"
          title={line.source}
        >
          {line.source}
        </span>
      </div>
      <span role="gridcell" className="min-w-0 truncate md:flex-1" title={line.text}>
        {line.text}
      </span>
    </div>
  );
}
