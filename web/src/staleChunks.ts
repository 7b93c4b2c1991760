// After an update of the server the chunks of a page that is still open are gone. One reload gets
// the new page; a second failure is a real one and is shown.
const RELOADED_AT = "callboard.reloaded_at";
const AGAIN_AFTER_MS = 60_000;

export function reloadOnceOnStaleChunks(): void {
  window.addEventListener("vite:preloadError", (event) => {
    const last = Number(sessionStorage.getItem(RELOADED_AT) ?? 0);
    if (Date.now() - last < AGAIN_AFTER_MS) return;
    sessionStorage.setItem(RELOADED_AT, String(Date.now()));
    event.preventDefault();
    location.reload();
  });
}
