// What is typed and not yet sent, kept per conversation over reloads and over an expired session.
const PREFIX = "callboard.draft:";

export const NEW_CHAT = "new";

export function readDraft(key: string): string {
  return sessionStorage.getItem(PREFIX + key) ?? "";
}

export function writeDraft(key: string, text: string): void {
  try {
    if (text) sessionStorage.setItem(PREFIX + key, text);
    else sessionStorage.removeItem(PREFIX + key);
  } catch {
    // Storage is full: the draft lives as long as the page.
  }
}

export function forgetDrafts(): void {
  const keys = Array.from({ length: sessionStorage.length }, (_, i) => sessionStorage.key(i));
  for (const key of keys) if (key?.startsWith(PREFIX)) sessionStorage.removeItem(key);
}
