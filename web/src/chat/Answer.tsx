// One answer: its work, its text, how it ended, and what it rests on.
import { memo, useMemo } from "react";
import type { LineId, Message } from "../api/types";
import { type LiveTurn, shownText } from "../live/state";
import { CitationContext, type CitationScope } from "../markdown/Cite";
import { Markdown } from "../markdown/Markdown";
import { Boundary } from "../ui/Failure";
import { AlertIcon } from "../ui/icons";
import { AnswerFooter } from "./AnswerFooter";
import { Steps } from "./Steps";

interface AnswerProps {
  message: Message | null;
  turn: LiveTurn | null;
  running: boolean;
  onOpenLine: (id: LineId, cited: LineId[], opener: HTMLElement) => void;
}

const ENDED_EARLY: Partial<Record<Message["status"], string>> = {
  cancelled: "Stopped. What had been written is kept.",
  interrupted: "The server ended while this was being written.",
};

function textOf({ message, turn, running }: Omit<AnswerProps, "onOpenLine">): string {
  if (turn && (running || !message || message.status === "streaming")) return shownText(turn);
  return message?.content ?? "";
}

export const Answer = memo(function Answer({ message, turn, running, onOpenLine }: AnswerProps) {
  const text = textOf({ message, turn, running });
  const settled = !running && message !== null && message.status !== "streaming";
  const citations = message?.citations ?? turn?.citations;
  const scope = useMemo<CitationScope>(() => {
    const byId = new Map((citations ?? []).map((citation) => [citation.line_id, citation]));
    const cited = [...byId.keys()];
    return { settled, byId, open: (id, opener) => onOpenLine(id, cited, opener) };
  }, [citations, settled, onOpenLine]);
  return (
    <article aria-label="Answer" className={settled ? "settled" : undefined}>
      {turn && (turn.steps.length > 0 || running) && (
        <Steps steps={turn.steps} running={running} writing={text !== ""} />
      )}
      {turn?.restarted && running && (
        <p className="mb-2 text-xs text-warn">Started again: {turn.restarted}</p>
      )}
      <Boundary title="The answer could not be shown" resetKey={text}>
        <CitationContext value={scope}>
          <Markdown text={text} streaming={!settled} />
        </CitationContext>
      </Boundary>
      <Ending message={message} turn={turn} running={running} />
      {settled && message && <AnswerFooter message={message} text={text} />}
    </article>
  );
});

function Ending({ message, turn, running }: Omit<AnswerProps, "onOpenLine">) {
  if (running) return null;
  const note = message && ENDED_EARLY[message.status];
  if (note) return <p className="mt-2 text-soft">{note}</p>;
  if (turn?.error || message?.status === "failed") {
    return (
      <div className="mt-2 flex items-start gap-2 rounded-md bg-bad-soft px-3 py-2 text-bad">
        <AlertIcon className="mt-0.5 size-4" />
        <p>
          {turn?.error?.message ?? "No model could finish this answer."}
          {turn?.error && <span className="font-mono text-xs"> ({turn.error.code})</span>}
        </p>
      </div>
    );
  }
  if (turn?.finish === "length") {
    return <p className="mt-2 text-soft">Cut at the longest answer allowed.</p>;
  }
  if (turn?.finish === "content_filter") {
    return <p className="mt-2 text-soft">Cut by the provider's content filter.</p>;
  }
  return null;
}
