// The messages of a conversation, with loading, empty and failed as different states.

import { Link } from "@tanstack/react-router";
import { type RefObject, useEffect, useLayoutEffect, useRef, useState } from "react";
import { ApiError } from "../api/error";
import type { ConversationId, LineId } from "../api/types";
import { live } from "../live/live";
import type { Pending, Thread } from "../live/state";
import { Button, buttonClass } from "../ui/Button";
import { Failure } from "../ui/Failure";
import { DownIcon } from "../ui/icons";
import { Answer } from "./Answer";
import type { ThreadItem } from "./items";
import { useStickyScroll } from "./useStickyScroll";

interface ThreadViewProps {
  id: ConversationId | null;
  thread: Thread;
  items: ThreadItem[];
  /** Grows with each question asked here: then the end is shown. */
  sent: number;
  onOpenLine: (id: LineId, cited: LineId[], opener: HTMLElement) => void;
  onAsk: (text: string) => void;
  onTakeBack: (clientMessageId: string, text: string) => void;
}

export function ThreadView(props: ThreadViewProps) {
  const { id, thread, items, sent, onOpenLine, onAsk, onTakeBack } = props;
  const { box, content, atEnd, toEnd } = useStickyScroll();
  const { loading } = thread;
  useEffect(() => {
    if (sent > 0) toEnd();
  }, [sent, toEnd]);
  const keepPlace = useKeptPlace(box, items[0]?.key);
  const last = items.at(-1);
  const suggestions =
    last?.kind === "answer" && !last.running ? (last.turn?.suggestions ?? []) : [];
  return (
    <div className="relative min-h-0 flex-1">
      <section
        ref={box}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keys
        tabIndex={0}
        aria-label="Messages"
        className="h-full overflow-y-auto overscroll-contain outline-offset-[-2px]"
      >
        <div ref={content} className="mx-auto flex max-w-3xl flex-col gap-5 px-4 pt-5 pb-6">
          {loading.state === "failed" && <LoadFailure id={id} error={loading.error} />}
          {loading.state === "loading" && id && <ThreadSkeleton />}
          {loading.state === "ready" && thread.older && id && (
            <Older id={id} onBefore={keepPlace} />
          )}
          {loading.state === "ready" && items.length === 0 && (
            <p className="py-10 text-center text-soft">This conversation has no messages yet.</p>
          )}
          {items.map((item) => (
            <Item key={item.key} item={item} onOpenLine={onOpenLine} onTakeBack={onTakeBack} />
          ))}
          {suggestions.length > 0 && <Suggestions items={suggestions} onAsk={onAsk} />}
        </div>
      </section>
      {!atEnd && (
        <Button
          className="absolute bottom-2 left-1/2 -translate-x-1/2 rounded-full shadow-md"
          onClick={toEnd}
        >
          <DownIcon />
          Jump to latest
        </Button>
      )}
      <Status running={thread.running !== null} last={last} />
    </div>
  );
}

/** Earlier messages come in above without moving what is being read. */
function useKeptPlace(box: RefObject<HTMLElement | null>, firstKey: string | undefined) {
  const before = useRef<{ height: number; top: number } | null>(null);
  // biome-ignore lint/correctness/useExhaustiveDependencies: a new first message is the moment
  useLayoutEffect(() => {
    const node = box.current;
    if (!node || !before.current) return;
    node.scrollTop = before.current.top + (node.scrollHeight - before.current.height);
    before.current = null;
  }, [firstKey]);
  return () => {
    const node = box.current;
    if (node) before.current = { height: node.scrollHeight, top: node.scrollTop };
  };
}

function Older({ id, onBefore }: { id: ConversationId; onBefore: () => void }) {
  const [busy, setBusy] = useState(false);
  const load = async (): Promise<void> => {
    setBusy(true);
    onBefore();
    await live.loadOlder(id);
    setBusy(false);
  };
  return (
    <Button look="quiet" className="self-center" disabled={busy} onClick={() => void load()}>
      {busy ? "Loading…" : "Earlier messages"}
    </Button>
  );
}

interface ItemProps {
  item: ThreadItem;
  onOpenLine: ThreadViewProps["onOpenLine"];
  onTakeBack: ThreadViewProps["onTakeBack"];
}

function Item({ item, onOpenLine, onTakeBack }: ItemProps) {
  switch (item.kind) {
    case "question":
      return <Question text={item.message.content} />;
    case "pending":
      return <PendingQuestion pending={item.pending} onTakeBack={onTakeBack} />;
    case "answer":
      return (
        <Answer
          message={item.message}
          turn={item.turn}
          running={item.running}
          onOpenLine={onOpenLine}
        />
      );
  }
}

function Question({ text, faint = false }: { text: string; faint?: boolean }) {
  return (
    <article aria-label="Question" className="flex justify-end">
      <p
        className={`max-w-[85%] rounded-2xl rounded-br-md bg-panel px-3.5 py-2 [overflow-wrap:anywhere] whitespace-pre-wrap ring-1 ring-line ${faint ? "text-soft" : ""}`}
      >
        {text}
      </p>
    </article>
  );
}

interface PendingQuestionProps {
  pending: Pending;
  onTakeBack: ThreadViewProps["onTakeBack"];
}

function PendingQuestion({ pending, onTakeBack }: PendingQuestionProps) {
  const { clientMessageId, content, error } = pending;
  return (
    <div className="flex flex-col gap-1.5">
      <Question text={content} faint />
      {error ? (
        <div role="alert" className="flex flex-wrap items-center justify-end gap-2 text-bad">
          <span>
            Not sent: {error.message} <span className="font-mono text-xs">({error.code})</span>
          </span>
          <Button onClick={() => live.retry(clientMessageId)}>Send again</Button>
          <Button onClick={() => onTakeBack(clientMessageId, content)}>Edit</Button>
        </div>
      ) : (
        <p className="text-right text-xs text-soft">Sending…</p>
      )}
    </div>
  );
}

function Suggestions({ items, onAsk }: { items: string[]; onAsk: (text: string) => void }) {
  return (
    <ul aria-label="Suggested questions" className="flex flex-wrap gap-2">
      {items.map((text) => (
        <li key={text}>
          <Button className="h-auto text-left whitespace-normal!" onClick={() => onAsk(text)}>
            {text}
          </Button>
        </li>
      ))}
    </ul>
  );
}

function LoadFailure({ id, error }: { id: ConversationId | null; error: unknown }) {
  const gone = error instanceof ApiError && (error.status === 404 || error.status === 400);
  return (
    <Failure
      title={gone ? "There is no such conversation" : "The conversation could not be read"}
      error={error}
      onRetry={gone || !id ? undefined : () => live.retryOpen(id)}
    >
      {gone && (
        <Link to="/" className={buttonClass("primary")}>
          New chat
        </Link>
      )}
    </Failure>
  );
}

function ThreadSkeleton() {
  return (
    <div role="status" className="flex flex-col gap-5">
      <span className="sr-only">Loading the conversation</span>
      <div className="skeleton ml-auto h-9 w-2/5 rounded-2xl" />
      <div className="flex flex-col gap-2.5">
        <div className="skeleton h-3.5 w-11/12" />
        <div className="skeleton h-3.5 w-4/5" />
        <div className="skeleton h-3.5 w-3/5" />
      </div>
    </div>
  );
}

/** The one node that tells a screen reader of progress; the streamed text itself is silent. */
function Status({ running, last }: { running: boolean; last: ThreadItem | undefined }) {
  const [began, setBegan] = useState(false);
  useEffect(() => {
    if (running) setBegan(true);
  }, [running]);
  const failed = last?.kind === "answer" && (last.turn?.error || last.message?.status === "failed");
  const stopped = last?.kind === "answer" && last.message?.status === "cancelled";
  const ended = failed ? "The answer failed" : stopped ? "Stopped" : "Done";
  return (
    <p role="status" className="sr-only" data-testid="turn-status">
      {running ? "Answering" : began ? ended : ""}
    </p>
  );
}
