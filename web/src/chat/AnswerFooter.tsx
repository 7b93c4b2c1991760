// What an answer rests on and what it cost.
import { Link } from "@tanstack/react-router";
import type { Message, SearchedEvidence } from "../api/types";
import type { LogView } from "../logs/view";
import { CopyButton } from "../ui/CopyButton";
import { count, dollars, plural, utcSeconds } from "../ui/format";

interface AnswerFooterProps {
  message: Message;
  text: string;
}

export function AnswerFooter({ message, text }: AnswerFooterProps) {
  const { usage, cost_usd: cost, evidence } = message;
  const model = message.model !== message.provider ? message.model : null;
  const facts = [
    [message.provider, model].filter(Boolean).join(" / "),
    usage && usage.input_tokens + usage.output_tokens > 0
      ? `${count(usage.input_tokens)} in, ${count(usage.output_tokens)} out tokens`
      : "",
    cost === null ? "" : dollars(cost),
    message.cached ? "from the cache" : "",
  ].filter(Boolean);
  return (
    <footer className="mt-3 flex flex-col gap-1 border-t border-line pt-2 text-xs text-soft">
      {evidence && <Searched evidence={evidence} />}
      <div className="flex items-center gap-x-2">
        <span className="min-w-0 flex-1">{facts.join(" · ")}</span>
        <CopyButton compact text={text} label="Copy answer" />
      </div>
    </footer>
  );
}

function viewOf(evidence: SearchedEvidence): LogView {
  const view: LogView = {};
  if (evidence.query) view.q = evidence.query;
  if (evidence.range.from) view.from = evidence.range.from;
  if (evidence.range.to) view.to = evidence.range.to;
  return view;
}

function Searched({ evidence }: { evidence: SearchedEvidence }) {
  const { from, to } = evidence.covered;
  return (
    <p>
      Searched: {evidence.reading}. {count(evidence.matched)} of {plural(evidence.searched, "line")}{" "}
      match
      {evidence.counted < evidence.matched && `, ${count(evidence.counted)} of them counted`}
      {from && to && `, ${utcSeconds(from)} to ${utcSeconds(to)} UTC`}.{" "}
      <Link
        to="/logs"
        search={viewOf(evidence)}
        className="text-accent underline underline-offset-2"
      >
        Open in log search
      </Link>
    </p>
  );
}
