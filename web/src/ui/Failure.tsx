// The failed state of a panel: what went wrong, its code and report id, and a way on.
import type { ReactNode } from "react";
import { type FallbackProps, ErrorBoundary as ReactErrorBoundary } from "react-error-boundary";
import { ApiError, errorCode, errorMessage } from "../api/error";
import { Button } from "./Button";
import { CopyButton } from "./CopyButton";
import { AlertIcon } from "./icons";

interface FailureProps {
  title: string;
  error: unknown;
  onRetry?: (() => void) | undefined;
  children?: ReactNode;
}

function report(error: unknown): string {
  const id = error instanceof ApiError && error.requestId ? ` request ${error.requestId}` : "";
  return `${errorCode(error)}: ${errorMessage(error)}${id}`;
}

export function Failure({ title, error, onRetry, children }: FailureProps) {
  return (
    <div
      role="alert"
      className="mx-auto flex max-w-md flex-col items-center gap-2 px-4 py-8 text-center"
    >
      <AlertIcon className="size-6 text-bad" />
      <p className="font-semibold">{title}</p>
      <p className="text-soft">{errorMessage(error)}</p>
      <p className="font-mono text-xs text-soft">
        {errorCode(error)}
        {error instanceof ApiError && error.requestId ? ` · ${error.requestId}` : ""}
      </p>
      <div className="mt-1 flex flex-wrap justify-center gap-2">
        {onRetry && <Button onClick={onRetry}>Try again</Button>}
        <CopyButton text={report(error)} label="Copy report" />
        {children}
      </div>
    </div>
  );
}

/** One line, beside what still works. */
export function InlineFailure({ error, children }: { error: unknown; children?: ReactNode }) {
  return (
    <div
      role="alert"
      className="flex flex-wrap items-center gap-x-3 gap-y-1 rounded-md bg-bad-soft px-3 py-2 text-bad"
    >
      <span>
        {errorMessage(error)} <span className="font-mono text-xs">({errorCode(error)})</span>
      </span>
      {children}
    </div>
  );
}

interface BoundaryProps {
  /** What the panel is, as in "The answer could not be shown". */
  title: string;
  /** A change of it is a new attempt. */
  resetKey?: unknown;
  children: ReactNode;
}

export function Boundary({ title, resetKey, children }: BoundaryProps) {
  return (
    <ReactErrorBoundary
      resetKeys={[resetKey]}
      fallbackRender={({ error, resetErrorBoundary }: FallbackProps) => (
        <Failure title={title} error={error} onRetry={resetErrorBoundary} />
      )}
    >
      {children}
    </ReactErrorBoundary>
  );
}
