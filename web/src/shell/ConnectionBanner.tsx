// Says when the live connection is gone, and why, with a way to try again.
import { useEffect, useState } from "react";
import { socket } from "../live/live";
import type { SocketStatus } from "../live/socket";
import { useLive } from "../live/store";
import { Button } from "../ui/Button";

/** A first connection, or a short break, is not worth a banner. */
const PATIENCE_MS = 1500;

function words(status: SocketStatus): string {
  if (status.state === "refused") {
    if (status.code === 4501) return "Too many connections are open for this account.";
    if (status.code === 4502) return "The server does not allow live answers for this account.";
    return `The server ended the live connection${status.reason ? `: ${status.reason}` : "."}`;
  }
  return "The connection is lost. Trying again; what you send now waits.";
}

export function ConnectionBanner() {
  const status = useLive((store) => store.status);
  const broken = status.state === "refused" || status.state === "waiting";
  const off = broken || (status.state === "connecting" && status.attempt > 0);
  const [shown, setShown] = useState(false);
  useEffect(() => {
    if (!off) {
      setShown(false);
      return;
    }
    const timer = setTimeout(() => setShown(true), PATIENCE_MS);
    return () => clearTimeout(timer);
  }, [off]);
  return (
    <div role="status">
      {shown && off && (
        <div className="flex items-center justify-between gap-3 bg-warn-soft px-4 py-1.5 text-warn">
          <span>{words(status)}</span>
          <Button disabled={!broken} onClick={() => socket.retryNow()}>
            Try now
          </Button>
        </div>
      )}
    </div>
  );
}
