import { useEffect, useState } from "react";
import { buttonClass } from "./Button";
import { CheckIcon, CopyIcon } from "./icons";

/** `navigator.clipboard` is missing on plain HTTP; a selection and a command still work there. */
async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = document.createElement("textarea");
    area.value = text;
    area.className = "fixed top-0 opacity-0";
    document.body.append(area);
    area.select();
    const copied = document.execCommand("copy");
    area.remove();
    return copied;
  }
}

type State = "idle" | "copied" | "failed";

const WORDS: Record<State, string | null> = {
  idle: null,
  copied: "Copied",
  failed: "Not copied",
};

interface CopyButtonProps {
  text: string;
  label: string;
  /** Only the icon is shown. */
  compact?: boolean;
}

export function CopyButton({ text, label, compact = false }: CopyButtonProps) {
  const [state, setState] = useState<State>("idle");
  useEffect(() => {
    if (state === "idle") return;
    const timer = setTimeout(() => setState("idle"), 1600);
    return () => clearTimeout(timer);
  }, [state]);
  const words = WORDS[state] ?? label;
  return (
    <button
      type="button"
      className={
        compact
          ? "inline-flex size-6 items-center justify-center rounded text-soft hover:bg-hover hover:text-ink"
          : buttonClass("plain")
      }
      aria-label={compact ? words : undefined}
      title={compact ? words : undefined}
      onClick={async () => setState((await copyText(text)) ? "copied" : "failed")}
    >
      {state === "copied" ? <CheckIcon className="size-3.5" /> : <CopyIcon className="size-3.5" />}
      {!compact && words}
    </button>
  );
}
