import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { afterHint, backoff } from "./backoff";
import { FakeSocket } from "./fakeSocket";
import { LiveSocket, type SocketStatus } from "./socket";

function setUp() {
  const sockets: FakeSocket[] = [];
  const statuses: SocketStatus[] = [];
  const events = {
    onFrame: vi.fn(),
    onConnected: vi.fn(),
    onStatus: (status: SocketStatus) => void statuses.push(status),
    renew: vi.fn(async () => true),
    probe: vi.fn(async () => true),
    onSignedOut: vi.fn(),
  };
  const open = (path: string): WebSocket => {
    const socket = new FakeSocket(path);
    sockets.push(socket);
    return socket as unknown as WebSocket;
  };
  const live = new LiveSocket({ open, random: () => 0.5, now: () => Date.now() }, events);
  const last = (): FakeSocket => {
    const socket = sockets.at(-1);
    if (!socket) throw new Error("no socket was opened");
    return socket;
  };
  live.start();
  return { live, sockets, statuses, events, last };
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe("backoff", () => {
  it("doubles to a ceiling, with jitter over the upper half", () => {
    expect([0, 1, 2, 3].map((attempt) => backoff(attempt, 0))).toEqual([250, 500, 1000, 2000]);
    expect(backoff(0, 1)).toBe(500);
    expect(backoff(50, 1)).toBe(30_000);
  });

  it("never comes back before the server's hint", () => {
    expect(afterHint(2000, 0)).toBe(2000);
    expect(afterHint(2000, 1)).toBe(4000);
  });
});

describe("the socket", () => {
  it("comes back after a close below 4500, as the same session, waiting longer each time", async () => {
    const { sockets, last, events } = setUp();
    expect(last().path).toBe("/ws/assistant");
    last().connected();
    last().ends(1006);
    await vi.advanceTimersByTimeAsync(374);
    expect(sockets).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(last().path).toBe("/ws/assistant/s1");
    last().ends(4002);
    await vi.advanceTimersByTimeAsync(749);
    expect(sockets).toHaveLength(2);
    await vi.advanceTimersByTimeAsync(1);
    expect(sockets).toHaveLength(3);
    last().connected();
    expect(events.onConnected).toHaveBeenCalledTimes(2);
  });

  it("stays away after a close from 4500 on, until a person tries again", async () => {
    const { live, sockets, last, statuses } = setUp();
    last().connected();
    last().ends(4501, "too many");
    await vi.advanceTimersByTimeAsync(120_000);
    expect(sockets).toHaveLength(1);
    expect(statuses.at(-1)).toEqual({ state: "refused", code: 4501, reason: "too many" });
    live.retryNow();
    expect(sockets).toHaveLength(2);
  });

  it("renews the session once after 4500, and connects again at once", async () => {
    const { sockets, last, events } = setUp();
    last().connected();
    last().ends(4500);
    await vi.advanceTimersByTimeAsync(0);
    expect(events.renew).toHaveBeenCalledTimes(1);
    expect(sockets).toHaveLength(2);
    last().ends(4500);
    await vi.advanceTimersByTimeAsync(120_000);
    expect(events.renew).toHaveBeenCalledTimes(1);
    expect(events.onSignedOut).toHaveBeenCalledTimes(1);
    expect(sockets).toHaveLength(2);
  });

  it("gives up when the session cannot be renewed", async () => {
    const { sockets, last, events } = setUp();
    events.renew.mockResolvedValue(false);
    last().connected();
    last().ends(4500);
    await vi.advanceTimersByTimeAsync(120_000);
    expect(events.onSignedOut).toHaveBeenCalledTimes(1);
    expect(sockets).toHaveLength(1);
  });

  it("asks over HTTP after a refused handshake whether anybody is signed in", async () => {
    const { sockets, last, events } = setUp();
    events.probe.mockResolvedValue(false);
    last().ends(1006);
    await vi.advanceTimersByTimeAsync(120_000);
    expect(events.onSignedOut).toHaveBeenCalledTimes(1);
    expect(sockets).toHaveLength(1);
  });

  it("goes on trying while the server cannot be reached at all", async () => {
    const { sockets, last, events } = setUp();
    events.probe.mockRejectedValue(new Error("offline"));
    last().ends(1006);
    await vi.advanceTimersByTimeAsync(400);
    expect(sockets).toHaveLength(2);
    expect(events.onSignedOut).not.toHaveBeenCalled();
  });

  it("waits as long as a draining server asks", async () => {
    const { sockets, last } = setUp();
    last().connected();
    last().says({ type: "system", kind: "draining", message: "", reconnect_after_ms: 4000 });
    last().ends(1001);
    await vi.advanceTimersByTimeAsync(5999);
    expect(sockets).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(sockets).toHaveLength(2);
  });

  it("pings well within the heartbeat, and leaves a peer that stays silent", async () => {
    const { sockets, last } = setUp();
    last().connected(30);
    await vi.advanceTimersByTimeAsync(10_000);
    const first = last();
    expect(first.sent).toEqual([{ type: "ping" }]);
    first.says({ type: "pong", at: "2026-11-21T10:00:00.000Z" });
    await vi.advanceTimersByTimeAsync(10_000);
    expect(first.sent).toHaveLength(2);
    await vi.advanceTimersByTimeAsync(10_400);
    expect(first.closedWith).toBe(1000);
    expect(sockets).toHaveLength(2);
  });

  it("sends nothing before `connected`, and passes no broken frame on", () => {
    const { live, last, events } = setUp();
    expect(live.send({ type: "ping" })).toBe(false);
    last().connected();
    last().says("not json");
    last().says("[]");
    last().says({ no: "type" });
    expect(events.onFrame).not.toHaveBeenCalled();
    expect(live.send({ type: "ping" })).toBe(true);
  });

  it("renews and connects anew when its token is about to end", async () => {
    const { sockets, last, events } = setUp();
    last().connected();
    const first = last();
    first.says({ type: "system", kind: "auth_expiring", message: "" });
    await vi.advanceTimersByTimeAsync(0);
    expect(events.renew).toHaveBeenCalledTimes(1);
    expect(first.closedWith).toBe(1000);
    expect(sockets).toHaveLength(2);
  });
});
