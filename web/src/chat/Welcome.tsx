// The empty chat: what is indexed, and questions to begin with.
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { logStatsQuery } from "../api/queries";
import { buttonClass } from "../ui/Button";
import { plural } from "../ui/format";
import { Mark } from "../ui/icons";

const QUESTIONS = [
  "What errors happened in the last hour?",
  "Which IP addresses failed to log in most often, and when?",
  "What are the most frequent warnings?",
];

export function Welcome({ onAsk }: { onAsk: (text: string) => void }) {
  return (
    <div className="grid min-h-0 flex-1 place-items-center overflow-y-auto px-4">
      <div className="w-full min-w-0 max-w-xl py-8">
        <Mark className="size-9" />
        <h1 className="mt-4 text-2xl font-semibold tracking-tight">Ask your logs</h1>
        <Indexed />
        <ul className="mt-5 flex flex-col gap-2">
          {QUESTIONS.map((question) => (
            <li key={question}>
              <button
                type="button"
                className={buttonClass(
                  "plain",
                  "min-h-10 w-full justify-start px-3.5 text-left whitespace-normal!",
                )}
                onClick={() => onAsk(question)}
              >
                {question}
              </button>
            </li>
          ))}
        </ul>
      </div>
    </div>
  );
}

function Indexed() {
  const stats = useQuery(logStatsQuery);
  if (stats.isPending) return <div className="skeleton mt-2 h-4 w-64" />;
  if (stats.isError) {
    return <p className="mt-1.5 text-soft">What is indexed could not be read just now.</p>;
  }
  const { lines, sources } = stats.data;
  if (lines === 0) {
    return (
      <p className="mt-1.5 text-soft">
        Nothing is indexed yet.{" "}
        <Link to="/logs" search={{}} className="text-accent underline underline-offset-2">
          Upload a log
        </Link>{" "}
        or run <code className="font-mono text-xs">callboard ingest</code>.
      </p>
    );
  }
  return (
    <p className="mt-1.5 text-soft">
      {plural(lines, "line")} from {plural(sources.length, "source")} are indexed. Answers cite the
      lines they rest on.
    </p>
  );
}
