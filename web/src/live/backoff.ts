// How long to wait before the next attempt to connect.

const FIRST_MS = 500;
const LONGEST_MS = 30_000;

/** Doubles with each attempt (from 0), with jitter over the upper half, so that many pages that
 * lost one server do not come back in one instant. */
export function backoff(attempt: number, random: number): number {
  const ceiling = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(attempt, 10));
  return Math.round(ceiling / 2 + (ceiling / 2) * random);
}

/** After a server said when to come back: not before, and spread over as long again. */
export function afterHint(hintMs: number, random: number): number {
  return Math.round(hintMs + Math.min(hintMs, LONGEST_MS) * random);
}
