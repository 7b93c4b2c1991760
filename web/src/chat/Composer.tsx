// Where a question is typed. Enter sends, Shift+Enter makes a new line; while an answer is being
// written its place is taken by Stop, and what is typed is kept.
import { type KeyboardEvent, useEffect, useLayoutEffect, useRef, useState } from "react";
import { SendIcon, StopIcon } from "../ui/icons";
import { readDraft, writeDraft } from "./drafts";

const MAX_HEIGHT_PX = 220;

interface ComposerProps {
  draftKey: string;
  /** Text to begin with in place of the draft, such as of a question taken back. */
  seed: { text: string } | null;
  answering: boolean;
  stopping: boolean;
  autoFocus: boolean;
  onSend: (text: string) => void;
  onStop: () => void;
}

export function Composer(props: ComposerProps) {
  const { draftKey, seed, answering, stopping, autoFocus, onSend, onStop } = props;
  const [text, setText] = useState(() => readDraft(draftKey));
  const area = useRef<HTMLTextAreaElement>(null);
  useEffect(() => writeDraft(draftKey, text), [draftKey, text]);
  useEffect(() => {
    if (autoFocus) area.current?.focus();
  }, [autoFocus]);
  useEffect(() => {
    if (!seed) return;
    setText((typed) => (typed.trim() ? `${seed.text}\n${typed}` : seed.text));
    area.current?.focus();
  }, [seed]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the height follows the text
  useLayoutEffect(() => {
    const node = area.current;
    if (!node) return;
    node.style.height = "auto";
    node.style.height = `${Math.min(node.scrollHeight, MAX_HEIGHT_PX)}px`;
  }, [text]);
  const send = (): void => {
    const question = text.trim();
    if (!question || answering) return;
    onSend(question);
    setText("");
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.key !== "Enter" || event.shiftKey || event.nativeEvent.isComposing) return;
    event.preventDefault();
    send();
  };
  return (
    <form
      className="mx-auto w-full max-w-3xl px-4 pb-3"
      onSubmit={(event) => {
        event.preventDefault();
        send();
      }}
    >
      <div className="flex items-end gap-2 rounded-xl border border-strong bg-raised p-1.5 pl-3.5 shadow-sm focus-within:border-accent focus-within:ring-1 focus-within:ring-accent">
        <textarea
          ref={area}
          rows={1}
          aria-label="Question"
          placeholder="Ask your logs"
          className="min-h-8 flex-1 resize-none bg-transparent py-1.5 leading-5 outline-none placeholder:text-soft"
          value={text}
          onChange={(event) => setText(event.target.value)}
          onKeyDown={onKeyDown}
        />
        {answering ? (
          <button
            type="button"
            aria-label="Stop answering"
            title="Stop answering"
            disabled={stopping}
            className="grid size-8 shrink-0 place-items-center rounded-lg bg-ink text-canvas hover:opacity-85 disabled:opacity-40"
            onClick={onStop}
          >
            <StopIcon />
          </button>
        ) : (
          <button
            type="submit"
            aria-label="Send"
            title="Send"
            disabled={!text.trim()}
            className="grid size-8 shrink-0 place-items-center rounded-lg bg-accent text-accent-ink hover:brightness-110 disabled:bg-hover disabled:text-soft"
          >
            <SendIcon />
          </button>
        )}
      </div>
      <p className="mt-1.5 hidden text-center text-2xs text-soft sm:block">
        Enter sends, Shift+Enter makes a new line. Check the cited lines.
      </p>
    </form>
  );
}
