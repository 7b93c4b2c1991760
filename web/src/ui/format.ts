// Numbers and instants for people. Log times are UTC, as in most logs; chat times are local.

const whole = new Intl.NumberFormat("en-US");
const compact = new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 });
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const dayAndYear = new Intl.DateTimeFormat(undefined, {
  day: "numeric",
  month: "short",
  year: "numeric",
});

export const count = (value: number): string => whole.format(value);
export const shortCount = (value: number): string => compact.format(value);

export function plural(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}

export function bytes(value: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let size = value;
  let unit = 0;
  while (size >= 1000 && unit < units.length - 1) {
    size /= 1000;
    unit += 1;
  }
  return `${size >= 100 || unit === 0 ? Math.round(size) : size.toFixed(1)} ${units[unit]}`;
}

export function dollars(value: number): string {
  if (value === 0) return "$0";
  return value < 0.01 ? `$${value.toPrecision(2)}` : `$${value.toFixed(2)}`;
}

/** `2026-11-21 03:14:15.926`, in UTC. */
export function utc(timestamp: string): string {
  return timestamp.replace("T", " ").replace(/Z$/, "");
}

/** The same without what a narrow column does not need. */
export function utcSeconds(timestamp: string): string {
  return utc(timestamp).slice(0, 19);
}

/** When a conversation was last used: the time today, else the day. */
export function when(timestamp: string, now: Date): string {
  const at = new Date(timestamp);
  if (at.toDateString() === now.toDateString()) return clock.format(at);
  return (at.getFullYear() === now.getFullYear() ? day : dayAndYear).format(at);
}
