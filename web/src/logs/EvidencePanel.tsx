// A line between its neighbours. The line is highlighted; others that the answer cites are marked.
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useEffect, useRef, useState } from "react";
import { lineContextQuery } from "../api/queries";
import type { LineContext, LineId, LogLine } from "../api/types";
import { Button, buttonClass } from "../ui/Button";
import { CopyButton } from "../ui/CopyButton";
import { Failure } from "../ui/Failure";
import { utc } from "../ui/format";
import { SidePanel } from "../ui/SidePanel";
import { LevelTag } from "./LevelTag";

const FIRST_AROUND = 10;
const MORE = 3;
const MAX_AROUND = 90;

interface EvidencePanelProps {
  id: LineId;
  /** All lines that the answer cites; none from the log search. */
  cited: LineId[];
  opener: HTMLElement | null;
  onClose: () => void;
  /** Shown in the log search already. */
  inLogs?: boolean;
}

export function EvidencePanel({ id, cited, opener, onClose, inLogs }: EvidencePanelProps) {
  const [around, setAround] = useState(FIRST_AROUND);
  const context = useQuery({
    ...lineContextQuery(id, around),
    // While more neighbours load the known ones stay; another line is another matter.
    placeholderData: (previous, query) =>
      query?.queryKey[1] === id ? keepPreviousData(previous) : undefined,
  });
  return (
    <SidePanel title={`Line ${id}`} opener={opener} onClose={onClose}>
      {context.isPending && <ContextSkeleton />}
      {context.isError && (
        <Failure
          title="The line could not be read"
          error={context.error}
          onRetry={() => void context.refetch()}
        />
      )}
      {context.isSuccess && (
        <>
          <Lines context={context.data} cited={cited} />
          <div className="flex shrink-0 flex-wrap gap-2 border-t border-line p-2">
            {around < MAX_AROUND && (
              <Button disabled={context.isFetching} onClick={() => setAround(around * MORE)}>
                More context
              </Button>
            )}
            <CopyButton text={context.data.line.text} label="Copy line" />
            {context.data.line.pattern && (
              <Link
                to="/logs"
                search={{ q: `pattern:${context.data.line.pattern}` }}
                className={buttonClass("plain")}
              >
                Lines like this
              </Link>
            )}
            {!inLogs && (
              <Link to="/logs" search={{ line: id }} className={buttonClass("plain")}>
                Open in log search
              </Link>
            )}
          </div>
        </>
      )}
    </SidePanel>
  );
}

function Lines({ context, cited }: { context: LineContext; cited: LineId[] }) {
  const { before, line, after } = context;
  const own = useRef<HTMLLIElement>(null);
  const lines = [...before, line, ...after];
  // biome-ignore lint/correctness/useExhaustiveDependencies: it stays in view as neighbours come
  useEffect(() => {
    own.current?.scrollIntoView({ block: "center" });
  }, [line.id, lines.length]);
  return (
    <>
      <dl className="grid shrink-0 grid-cols-[auto_1fr] gap-x-3 gap-y-0.5 border-b border-line px-4 py-2.5 text-xs">
        <dt className="text-soft">Source</dt>
        <dd className="[overflow-wrap:anywhere]">{line.source}</dd>
        <dt className="text-soft">Time</dt>
        <dd className="tabular-nums">
          {line.timestamp ? `${utc(line.timestamp)} UTC` : "The line does not say"}
        </dd>
        <dt className="text-soft">Level</dt>
        <dd>
          {line.level === "unknown" ? "The line does not say" : <LevelTag level={line.level} />}
        </dd>
      </dl>
      <ol
        aria-label="The line in its context"
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keys
        tabIndex={0}
        className="grid min-h-0 flex-1 grid-cols-[auto_minmax(0,1fr)] content-start overflow-y-auto py-1 font-mono text-xs outline-offset-[-2px]"
      >
        {lines.map((item) => (
          <ContextLine
            key={item.id}
            line={item}
            own={item.id === line.id}
            cited={cited.includes(item.id)}
            ref={item.id === line.id ? own : undefined}
          />
        ))}
      </ol>
    </>
  );
}

interface ContextLineProps {
  line: LogLine;
  own: boolean;
  cited: boolean;
  ref: React.Ref<HTMLLIElement> | undefined;
}

function ContextLine({ line, own, cited, ref }: ContextLineProps) {
  const look = own
    ? "border-accent bg-mark font-medium"
    : cited
      ? "border-accent/60"
      : "border-transparent";
  return (
    <li
      ref={ref}
      aria-current={own ? "true" : undefined}
      data-line={line.id}
      className={`col-span-2 grid grid-cols-subgrid gap-x-3 border-l-3 px-3 py-1 ${look}`}
    >
      <span className="text-right text-soft select-none">{line.id}</span>
      <span className="[overflow-wrap:anywhere] whitespace-pre-wrap">
        {line.text}
        {line.truncated && <span className="text-warn"> … cut at the longest line allowed</span>}
        {cited && !own && <span className="ml-2 font-sans text-accent">also cited</span>}
      </span>
    </li>
  );
}

function ContextSkeleton() {
  return (
    <div role="status" className="flex flex-col gap-3 p-4">
      <span className="sr-only">Loading the line</span>
      {["w-5/6", "w-2/3", "w-11/12", "w-3/4", "w-5/6", "w-1/2", "w-4/5"].map((width, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: a fixed list
        <div key={index} className={`skeleton h-3 ${width}`} />
      ))}
    </div>
  );
}
