// The work before and beside the words: a line per step, folded away once the answer stands.
import type { Step } from "../live/state";
import { plural } from "../ui/format";
import { AlertIcon, CheckIcon, ChevronIcon } from "../ui/icons";

interface StepsProps {
  steps: Step[];
  running: boolean;
  /** Whether words have come. */
  writing: boolean;
}

export function Steps({ steps, running, writing }: StepsProps) {
  if (running) {
    return (
      <div className="mb-2 flex flex-col gap-1 text-xs text-soft">
        <StepList steps={steps} />
        {!writing && !steps.some((step) => step.state === "started") && (
          <p className="flex items-center gap-2">
            <Working />
            {steps.length > 0 ? "Writing the answer" : "Reading the question"}
          </p>
        )}
      </div>
    );
  }
  return (
    <details className="group mb-2 text-xs text-soft">
      <summary className="inline-flex min-h-6 list-none items-center gap-1 rounded hover:text-ink">
        <ChevronIcon className="size-3 transition-transform group-open:rotate-90" />
        {plural(steps.length, "step")}
      </summary>
      <div className="mt-1 ml-1 border-l border-line pl-3">
        <StepList steps={steps} />
      </div>
    </details>
  );
}

function StepList({ steps }: { steps: Step[] }) {
  return (
    <ul className="flex flex-col gap-1">
      {steps.map((step, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: steps are only appended
        <li key={index} className="flex items-center gap-2">
          {step.state === "started" && <Working />}
          {step.state === "done" && <CheckIcon className="size-3.5 text-good" />}
          {step.state === "failed" && <AlertIcon className="size-3.5 text-warn" />}
          <span className="[overflow-wrap:anywhere]">
            {step.summary}
            {step.state === "failed" && " (failed)"}
          </span>
        </li>
      ))}
    </ul>
  );
}

function Working() {
  return (
    <span className="grid size-3.5 shrink-0 place-items-center" aria-hidden="true">
      <span className="size-2 animate-pulse rounded-full bg-accent" />
    </span>
  );
}
