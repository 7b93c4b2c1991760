// The one-time token of a link: of setup, or for a password. It is taken out of the address before
// anything else runs, so that it stays neither in the history nor in a referrer.

const PATHS = ["/setup", "/link"];

let taken: string | null = null;

/** The token in a link, in `?token=`, in `#token=`, or as the whole fragment. */
export function tokenOf(search: string, hash: string): string | null {
  const inQuery = new URLSearchParams(search).get("token");
  if (inQuery) return inQuery;
  const fragment = hash.replace(/^#/, "");
  const inFragment = new URLSearchParams(fragment).get("token");
  return inFragment ?? (fragment && !fragment.includes("=") ? decodeURIComponent(fragment) : null);
}

export function takeToken(): void {
  if (!PATHS.includes(location.pathname)) return;
  taken = tokenOf(location.search, location.hash);
  if (location.search || location.hash) history.replaceState(null, "", location.pathname);
}

/**
 * The link may be opened in a tab that shows the form already. Only the fragment changes then, and
 * the browser loads nothing.
 */
export function reloadOnLink(): void {
  addEventListener("hashchange", () => {
    if (PATHS.includes(location.pathname) && tokenOf("", location.hash)) location.reload();
  });
}

export function oneTimeToken(): string | null {
  return taken;
}

/** What a person pastes: the whole link, or the token alone. */
export function tokenFromPaste(text: string): string {
  const trimmed = text.trim();
  try {
    const url = new URL(trimmed);
    return tokenOf(url.search, url.hash) ?? trimmed;
  } catch {
    return trimmed;
  }
}
