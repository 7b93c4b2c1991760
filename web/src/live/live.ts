// The page's one socket and controller, joined to the API client and the store.
import { api } from "../api/client";
import { ApiError } from "../api/error";
import { readMessages } from "../api/queries";
import { session } from "../session";
import { LiveController } from "./controller";
import { LiveSocket } from "./socket";
import { applyEvents, useLive } from "./store";

function open(path: string): WebSocket {
  const url = new URL(path, location.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  return new WebSocket(url);
}

export const socket: LiveSocket = new LiveSocket(
  { open, random: Math.random, now: () => performance.now() },
  {
    onFrame: (frame) => live.received(frame),
    onConnected: () => live.connected(),
    onStatus: (status) => useLive.setState({ status }),
    renew: () => api.refresh(),
    probe: async () => {
      try {
        await api.request("/auth/me");
        return true;
      } catch (error) {
        if (error instanceof ApiError && error.status === 401) return false;
        throw error;
      }
    },
    onSignedOut: () => session.ended(),
  },
);

/** `crypto.randomUUID` exists only on HTTPS and localhost; a server in the LAN may have neither. */
function newId(): string {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

export const live: LiveController = new LiveController({
  socket,
  state: () => useLive.getState().live,
  write: applyEvents,
  readMessages,
  onConversationsChanged: () => session.conversationsChanged(),
  newId,
  now: () => new Date().toISOString(),
});

let wired = false;

export function startLive(): void {
  if (!wired) {
    wired = true;
    session.stopLive = stopLive;
    window.addEventListener("online", () => socket.retryNow());
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) socket.retryNow();
    });
  }
  socket.start();
}

export function stopLive(): void {
  socket.stop();
}
