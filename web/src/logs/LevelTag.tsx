import type { Level } from "../api/types";

const LOOKS: Record<Level, string> = {
  fatal: "bg-bad text-canvas",
  error: "bg-bad-soft text-bad",
  warn: "bg-warn-soft text-warn",
  notice: "bg-accent-soft text-accent",
  info: "bg-hover text-ink",
  debug: "bg-hover text-soft",
  trace: "bg-hover text-soft",
  unknown: "text-soft",
};

export function LevelTag({ level }: { level: Level }) {
  return (
    <span
      className={`inline-block min-w-12 rounded px-1 text-center font-mono text-2xs leading-4 font-medium uppercase ${LOOKS[level]}`}
    >
      {level === "unknown" ? "–" : level}
    </span>
  );
}
