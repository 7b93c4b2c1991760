// The chat: a thread, the composer, and the evidence beside them.
import { useNavigate, useParams } from "@tanstack/react-router";
import { useCallback, useEffect, useLayoutEffect, useMemo, useState } from "react";
import { useShallow } from "zustand/react/shallow";
import type { ConversationId, LineId, TurnId } from "../api/types";
import { live } from "../live/live";
import { emptyThread } from "../live/state";
import { applyEvents, useLive } from "../live/store";
import { EvidencePanel } from "../logs/EvidencePanel";
import { IconButton } from "../ui/Button";
import { Boundary } from "../ui/Failure";
import { useMediaQuery } from "../ui/hooks";
import { CloseIcon } from "../ui/icons";
import { Composer } from "./Composer";
import { NEW_CHAT } from "./drafts";
import { threadItems } from "./items";
import { ThreadView } from "./ThreadView";
import { useConversationTitle } from "./useConversationTitle";
import { Welcome } from "./Welcome";

export function NewChatScreen() {
  return <Chat id={null} />;
}

export function ConversationScreen() {
  const { conversationId } = useParams({ from: "/app/c/$conversationId" });
  return <Chat key={conversationId} id={conversationId} />;
}

interface OpenLine {
  id: LineId;
  cited: LineId[];
  opener: HTMLElement;
}

function useThread(id: ConversationId | null) {
  const { thread, turns, pending } = useLive(
    useShallow(({ live: state }) => ({
      thread: (id && state.threads[id]) || emptyThread,
      turns: state.turns,
      pending: state.pending,
    })),
  );
  const items = useMemo(
    () =>
      threadItems(
        thread,
        turns,
        pending.filter((item) => item.conversationId === id),
      ),
    [thread, turns, pending, id],
  );
  return { thread, items };
}

/** A question that opens a conversation leads to its address as soon as that is known. */
function useFollowOpened(id: ConversationId | null) {
  const navigate = useNavigate();
  const [asked, setAsked] = useState<string | null>(null);
  const opened = useLive((store) => (asked ? store.live.opened[asked] : undefined));
  useLayoutEffect(() => {
    if (id !== null || !opened) return;
    focusNext = true;
    void navigate({ to: "/c/$conversationId", params: { conversationId: opened }, replace: true });
  }, [id, opened, navigate]);
  return setAsked;
}

/** Whether the next composer takes the focus that the one before it had. */
let focusNext = false;

function useFocusOnArrival(isNew: boolean): boolean {
  const [focus] = useState(() => isNew || focusNext);
  const fine = useMediaQuery("(pointer: fine)");
  useEffect(() => {
    focusNext = false;
  }, []);
  return focus && fine;
}

function Chat({ id }: { id: ConversationId | null }) {
  const { thread, items } = useThread(id);
  const [line, setLine] = useState<OpenLine | null>(null);
  const [seed, setSeed] = useState<{ text: string } | null>(null);
  const [sent, setSent] = useState(0);
  const setAsked = useFollowOpened(id);
  const autoFocus = useFocusOnArrival(id === null);
  const title = useConversationTitle(id);
  useEffect(() => live.open(id), [id]);

  const openLine = useCallback(
    (lineId: LineId, cited: LineId[], opener: HTMLElement) =>
      setLine({ id: lineId, cited, opener }),
    [],
  );
  const closeLine = useCallback(() => setLine(null), []);
  const ask = useCallback(
    (text: string) => {
      setAsked(live.ask(text, id));
      setSent((times) => times + 1);
    },
    [id, setAsked],
  );
  const takeBack = useCallback((clientMessageId: string, text: string) => {
    live.discard(clientMessageId);
    setSeed({ text });
  }, []);

  const waiting = items.some((item) => item.kind === "pending" && !item.pending.error);
  const answering = thread.running !== null;
  const { stopping, stop } = useStop(thread.running);
  return (
    <div className="flex min-h-0 flex-1">
      <main className="flex min-w-0 flex-1 flex-col">
        <Boundary title="The conversation could not be shown" resetKey={id}>
          {id === null && items.length === 0 ? (
            <Welcome onAsk={ask} />
          ) : (
            <>
              <h1 className="sr-only">{title}</h1>
              <ThreadView
                id={id}
                thread={thread}
                items={items}
                sent={sent}
                onOpenLine={openLine}
                onAsk={ask}
                onTakeBack={takeBack}
              />
            </>
          )}
        </Boundary>
        <Notice />
        <Composer
          draftKey={id ?? NEW_CHAT}
          seed={seed}
          answering={answering || (waiting && id === null)}
          stopping={stopping || !answering}
          autoFocus={autoFocus}
          onSend={ask}
          onStop={stop}
        />
      </main>
      {line && (
        <Boundary title="The evidence could not be shown" resetKey={line.id}>
          <EvidencePanel id={line.id} cited={line.cited} opener={line.opener} onClose={closeLine} />
        </Boundary>
      )}
    </div>
  );
}

/** Stop is pressed once for a turn. */
function useStop(running: TurnId | null): { stopping: boolean; stop: () => void } {
  const [stopped, setStopped] = useState<TurnId | null>(null);
  const stop = (): void => {
    if (running && live.cancel(running)) setStopped(running);
  };
  return { stopping: running !== null && stopped === running, stop };
}

/** An error of the server that belongs to no question. */
function Notice() {
  const notice = useLive((store) => store.live.notice);
  if (!notice) return null;
  return (
    <div
      role="alert"
      className="mx-auto mb-2 flex w-full max-w-3xl items-center justify-between gap-2 px-4"
    >
      <p className="flex flex-1 items-center justify-between gap-2 rounded-md bg-bad-soft py-1 pr-1 pl-3 text-bad">
        <span>
          {notice.message} <span className="font-mono text-xs">({notice.code})</span>
        </span>
        <IconButton label="Close notice" onClick={() => applyEvents([{ kind: "notice_closed" }])}>
          <CloseIcon />
        </IconButton>
      </p>
    </div>
  );
}
