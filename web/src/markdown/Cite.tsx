// One citation: a button when the line is in the evidence, flagged text when it is not.
import { createContext, useContext } from "react";
import type { Citation, LineId } from "../api/types";
import { utc } from "../ui/format";

export interface CitationScope {
  /** While an answer streams its citations are not known yet. */
  settled: boolean;
  byId: ReadonlyMap<LineId, Citation>;
  open: (id: LineId, opener: HTMLElement) => void;
}

export const CitationContext = createContext<CitationScope>({
  settled: false,
  byId: new Map(),
  open: () => {},
});

const PILL =
  "mx-0.5 inline-flex min-h-6 items-center rounded px-1.5 align-middle font-mono text-xs";

interface CiteProps {
  ids: LineId[];
  /** The punctuation that follows: it stays on the line of the last citation. */
  tail: string;
}

export function Cite({ ids, tail }: CiteProps) {
  return ids.map((id, index) => (
    // biome-ignore lint/suspicious/noArrayIndexKey: the same line may be cited twice in a row
    <span key={index} className="whitespace-nowrap">
      <One id={id} />
      {index === ids.length - 1 && tail}
    </span>
  ));
}

function One({ id }: { id: LineId }) {
  const { settled, byId, open } = useContext(CitationContext);
  const citation = byId.get(id);
  if (citation) {
    const at = citation.timestamp ? `${utc(citation.timestamp)} UTC · ` : "";
    return (
      <button
        type="button"
        className={`${PILL} bg-accent-soft text-accent hover:underline`}
        aria-label={`Open line ${id}`}
        title={`${citation.source} · ${at}${citation.excerpt}`}
        data-citation={id}
        onClick={(event) => open(id, event.currentTarget)}
      >
        {id}
      </button>
    );
  }
  if (!settled) return <span className={`${PILL} bg-hover text-soft`}>{id}</span>;
  return (
    <span className={`${PILL} gap-1 bg-warn-soft text-warn`} title="No such line was found">
      {id}
      <span className="font-sans">not in the evidence</span>
    </span>
  );
}
