// The log search. Everything that says what is shown stands in the address.
import { useInfiniteQuery, useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useCallback, useMemo, useState } from "react";
import { ApiError } from "../api/error";
import { meQuery } from "../api/queries";
import type { LineId } from "../api/types";
import { Button, IconButton } from "../ui/Button";
import { Boundary, Failure, InlineFailure } from "../ui/Failure";
import { count, plural } from "../ui/format";
import { useTitle } from "../ui/hooks";
import { RefreshIcon } from "../ui/icons";
import { EvidencePanel } from "./EvidencePanel";
import { Histogram } from "./Histogram";
import { LogFilters } from "./LogFilters";
import { LogGrid } from "./LogGrid";
import { PatternList } from "./PatternList";
import { type FoundPage, logSearchQuery } from "./searchQuery";
import { UploadButton } from "./UploadButton";
import { UploadList } from "./UploadList";
import type { LogView } from "./view";

const QUERY_ERRORS = new Set(["invalid_query", "query_too_expensive"]);

function queryErrorOf(error: unknown): string | undefined {
  return error instanceof ApiError && QUERY_ERRORS.has(error.code) ? error.message : undefined;
}

/** The other way to look at the same lines. */
function withPatterns({ patterns, line: _, ...view }: LogView): LogView {
  return patterns ? view : { ...view, patterns: "count" };
}

export function LogScreen() {
  useTitle("Log search");
  const view = useSearch({ from: "/app/logs" });
  const navigate = useNavigate({ from: "/logs" });
  const { data: me } = useQuery(meQuery);
  const found = useInfiniteQuery(logSearchQuery(view));
  const queries = useQueryClient();
  const again = (): void => {
    void queries.invalidateQueries({ queryKey: ["logs"] });
  };
  const [opener, setOpener] = useState<HTMLElement | null>(null);
  const change = useCallback(
    (next: LogView, replace = false) => void navigate({ search: next, replace }),
    [navigate],
  );
  const openLine = (id: LineId, from: HTMLElement): void => {
    setOpener(from);
    change({ ...view, line: id }, view.line !== undefined);
  };
  const closeLine = useCallback(() => {
    const { line: _, ...rest } = view;
    change(rest, true);
  }, [change, view]);
  const queryError = queryErrorOf(found.error);
  return (
    <div className="flex min-h-0 flex-1">
      <main className="flex min-w-0 flex-1 flex-col">
        <div className="flex h-12 shrink-0 items-center gap-2 border-b border-line px-4">
          <h1 className="flex-1 font-semibold">Log search</h1>
          <Button
            aria-pressed={view.patterns !== undefined}
            onClick={() => change(withPatterns(view))}
          >
            {view.patterns ? "Lines" : "Patterns"}
          </Button>
          <IconButton label="Search again" disabled={found.isFetching} onClick={again}>
            <RefreshIcon />
          </IconButton>
          {me?.permissions.includes("logs_ingest") && <UploadButton />}
        </div>
        <UploadList />
        <LogFilters view={view} onChange={change} queryError={queryError} onAgain={again} />
        <Boundary title="The lines could not be shown" resetKey={found.dataUpdatedAt}>
          {view.patterns && <PatternList view={view} onChange={change} />}
          {!view.patterns && !queryError && (
            <Results found={found} view={view} onChange={change} onOpen={openLine} />
          )}
        </Boundary>
      </main>
      {view.line && (
        <Boundary title="The line could not be shown" resetKey={view.line}>
          <EvidencePanel
            key={view.line}
            inLogs
            id={view.line}
            cited={[]}
            opener={opener}
            onClose={closeLine}
          />
        </Boundary>
      )}
    </div>
  );
}

interface ResultsProps {
  found: ReturnType<typeof useInfiniteQuery<FoundPage>>;
  view: LogView;
  onChange: (view: LogView) => void;
  onOpen: (id: LineId, opener: HTMLElement) => void;
}

function Results({ found, view, onChange, onOpen }: ResultsProps) {
  const pages = found.data?.pages;
  const lines = useMemo(() => pages?.flatMap((page) => page.lines) ?? [], [pages]);
  const first = pages?.[0];
  if (found.isPending) return <ResultsSkeleton />;
  if (!first) {
    return (
      <Failure title="The search failed" error={found.error} onRetry={() => void found.refetch()} />
    );
  }
  const limited = Object.keys(view).some((key) => !["line", "order", "patterns"].includes(key));
  if (lines.length === 0 && !first.partial) {
    return <Empty limited={limited} onClear={() => onChange({})} />;
  }
  const { last: _, ...lasting } = view;
  return (
    <>
      <Histogram
        buckets={first.histogram}
        bucketMs={first.bucket_ms}
        onRange={(from, to) => onChange({ ...lasting, from, to })}
      />
      <p role="status" className="border-b border-line px-4 pb-1.5 text-xs text-soft tabular-nums">
        {first.partial && "At least "}
        {plural(first.matched, "line")} in {(first.took_us / 1000).toFixed(1)} ms
        {lines.length < first.matched && `, ${count(lines.length)} shown`}
      </p>
      {first.partial && (
        <p role="alert" className="border-b border-line bg-warn-soft px-4 py-1.5 text-warn">
          Not all lines were looked at: they are too many to be read for this. A shorter time, a
          source, or a word that the lines have gives a whole answer.
        </p>
      )}
      {found.isRefetchError && <InlineFailure error={found.error} />}
      <LogGrid
        // Another search starts at its top.
        key={first.matched + (lines[0]?.id ?? "")}
        lines={lines}
        open={view.line}
        onOpen={onOpen}
        footer={<Rest found={found} />}
      />
    </>
  );
}

function Rest({ found }: Pick<ResultsProps, "found">) {
  if (found.isFetchNextPageError) {
    return (
      <InlineFailure error={found.error}>
        <Button onClick={() => void found.fetchNextPage()}>Try again</Button>
      </InlineFailure>
    );
  }
  if (!found.hasNextPage) return null;
  return (
    <div className="grid place-items-center p-2">
      <Button disabled={found.isFetchingNextPage} onClick={() => void found.fetchNextPage()}>
        {found.isFetchingNextPage ? "Loading…" : "Load more"}
      </Button>
    </div>
  );
}

function Empty({ limited, onClear }: { limited: boolean; onClear: () => void }) {
  return (
    <div role="status" className="flex flex-col items-center gap-2 px-4 py-14 text-center">
      <p className="font-semibold">{limited ? "No line matches" : "Nothing is indexed yet"}</p>
      <p className="text-soft">
        {limited
          ? "Fewer words, a longer time or another level may find more."
          : "Upload a log, or run callboard ingest on the server."}
      </p>
      {limited && <Button onClick={onClear}>Clear the search</Button>}
    </div>
  );
}

function ResultsSkeleton() {
  return (
    <div role="status" className="flex flex-col gap-3 px-4 pt-3">
      <span className="sr-only">Searching</span>
      <div className="skeleton h-14 w-full" />
      {["w-11/12", "w-4/5", "w-5/6", "w-3/4", "w-11/12", "w-2/3"].map((width, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: a fixed list
        <div key={index} className={`skeleton h-3.5 ${width}`} />
      ))}
    </div>
  );
}
