// The screens that stand for the whole page: starting, not found, failed, offline.
import { Link, useRouter } from "@tanstack/react-router";
import { buttonClass } from "../ui/Button";
import { Failure } from "../ui/Failure";
import { useTitle } from "../ui/hooks";
import { Mark } from "../ui/icons";

export function StartingScreen() {
  return (
    <div className="grid h-full place-items-center" role="status">
      <div className="flex items-center gap-2.5 text-soft">
        <Mark />
        Starting…
      </div>
    </div>
  );
}

export function NotFoundScreen() {
  useTitle("Not found");
  return (
    <main className="grid h-full min-h-80 flex-1 place-items-center p-6 text-center">
      <div>
        <p className="font-mono text-xs text-soft">404</p>
        <h1 className="mt-1 text-lg font-semibold">There is nothing at this address</h1>
        <p className="mt-1 mb-4 text-soft">
          The link may be old, or the conversation may have been deleted.
        </p>
        <Link to="/" className={buttonClass("primary")}>
          New chat
        </Link>
      </div>
    </main>
  );
}

export function RootFailure({ error, reset }: { error: unknown; reset: () => void }) {
  useTitle("Something went wrong");
  const router = useRouter();
  return (
    <main className="grid h-full min-h-80 flex-1 place-items-center">
      <Failure
        title="This page could not be opened"
        error={error}
        onRetry={() => {
          reset();
          void router.invalidate();
        }}
      />
    </main>
  );
}
