import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { MessagePage } from "../api/types";
import { AT, message, page } from "../test/fixtures";
import { LiveController } from "./controller";
import type { ClientFrame, ServerFrame } from "./frames";
import { reduce } from "./reduce";
import { emptyState } from "./state";

function setUp() {
  const sent: ClientFrame[] = [];
  const link = { up: true };
  let state = emptyState;
  let ids = 0;
  const writes = vi.fn();
  const readMessages = vi.fn(
    async (_id: string, _cursor?: string): Promise<MessagePage> => page({ items: [message()] }),
  );
  const live = new LiveController({
    socket: {
      send: (frame) => {
        if (link.up) sent.push(frame);
        return link.up;
      },
    },
    state: () => state,
    write: (events) => {
      writes(events);
      state = events.reduce(reduce, state);
    },
    readMessages,
    onConversationsChanged: vi.fn(),
    newId: () => `q${++ids}`,
    now: () => AT,
  });
  const says = (...frames: ServerFrame[]): void => {
    for (const frame of frames) live.received(frame);
  };
  const types = (): string[] => sent.map((frame) => frame.type);
  return { live, sent, link, says, types, writes, readMessages, state: () => state };
}

const START: ServerFrame = {
  type: "stream_start",
  turn_id: "t1",
  conversation_id: "c1",
  seq: 1,
  model: "m",
  provider: "p",
  cached: false,
};
const chunk = (seq: number): ServerFrame => ({
  type: "stream_chunk",
  turn_id: "t1",
  seq,
  content: `${seq} `,
});
const ACCEPTED: ServerFrame = {
  type: "accepted",
  client_message_id: "q1",
  conversation_id: "c1",
  message_id: "m1",
  turn_id: "t1",
};

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe("opening a conversation", () => {
  it("watches first and reads after `subscribed`", async () => {
    const { live, sent, says, readMessages, state } = setUp();
    live.open("c1");
    expect(sent).toEqual([{ type: "subscribe", conversation_id: "c1" }]);
    expect(readMessages).not.toHaveBeenCalled();
    says({ type: "subscribed", conversation_id: "c1", running_turn: null });
    await vi.advanceTimersByTimeAsync(0);
    expect(readMessages).toHaveBeenCalledTimes(1);
    expect(state().threads.c1?.messages).toHaveLength(1);
  });

  it("reads all the same when there is no socket", async () => {
    const { live, link, readMessages } = setUp();
    link.up = false;
    live.open("c1");
    await vi.advanceTimersByTimeAsync(2000);
    expect(readMessages).toHaveBeenCalledTimes(1);
  });

  it("no longer watches the one before", () => {
    const { live, types } = setUp();
    live.open("c1");
    live.open("c2");
    expect(types()).toEqual(["subscribe", "unsubscribe", "subscribe"]);
  });

  it("that fails is failed, and a retry is a new attempt", async () => {
    const { live, says, readMessages, state } = setUp();
    readMessages.mockRejectedValueOnce(new Error("down"));
    live.open("c1");
    says({ type: "subscribed", conversation_id: "c1", running_turn: null });
    await vi.advanceTimersByTimeAsync(0);
    expect(state().threads.c1?.loading.state).toBe("failed");
    live.retryOpen("c1");
    expect(state().threads.c1?.loading.state).toBe("loading");
    await vi.advanceTimersByTimeAsync(0);
    expect(state().threads.c1?.loading.state).toBe("ready");
  });
});

describe("a question", () => {
  it("is sent again with the same id after each reconnect until it is accepted", () => {
    const { live, sent, link, says } = setUp();
    link.up = false;
    live.open("c1");
    live.ask("why?", "c1");
    expect(sent).toEqual([]);
    link.up = true;
    live.connected();
    live.connected();
    const questions = sent.filter((frame) => frame.type === "message");
    expect(questions).toEqual([
      { type: "message", client_message_id: "q1", conversation_id: "c1", content: "why?" },
      { type: "message", client_message_id: "q1", conversation_id: "c1", content: "why?" },
    ]);
    says(ACCEPTED);
    live.connected();
    expect(sent.filter((frame) => frame.type === "message")).toHaveLength(2);
  });

  it("that was refused is not sent again by itself", () => {
    const { live, sent, says } = setUp();
    live.open("c1");
    live.ask("why?", "c1");
    says({ type: "error", code: "turn_running", message: "wait", client_message_id: "q1" });
    live.connected();
    expect(sent.filter((frame) => frame.type === "message")).toHaveLength(1);
    live.retry("q1");
    expect(sent.filter((frame) => frame.type === "message")).toHaveLength(2);
  });

  it("that opens a conversation is watched as soon as that is known", () => {
    const { live, sent, says } = setUp();
    live.open(null);
    live.ask("why?", null);
    expect(sent).toEqual([{ type: "message", client_message_id: "q1", content: "why?" }]);
    says(ACCEPTED);
    expect(sent.at(-1)).toEqual({ type: "subscribe", conversation_id: "c1" });
  });
});

describe("after a reconnect", () => {
  it("resumes the running turn from its last seq, then watches again", () => {
    const { live, sent, says } = setUp();
    live.open("c1");
    says({ type: "subscribed", conversation_id: "c1", running_turn: "t1" }, START, chunk(7));
    sent.length = 0;
    live.connected();
    expect(sent).toEqual([
      { type: "resume", turn_id: "t1", after_seq: 7 },
      { type: "subscribe", conversation_id: "c1" },
    ]);
  });

  it("reads over REST what could not be recovered", async () => {
    const { live, says, readMessages } = setUp();
    live.open("c1");
    says({ type: "subscribed", conversation_id: "c1", running_turn: "t1" }, START, chunk(2));
    await vi.advanceTimersByTimeAsync(500);
    readMessages.mockClear();
    says({ type: "resumed", turn_id: "t1", recovered: false });
    await vi.advanceTimersByTimeAsync(500);
    expect(readMessages).toHaveBeenCalledTimes(1);
  });
});

describe("streaming", () => {
  it("writes once per animation frame, however many frames come", async () => {
    const { live, says, writes, state } = setUp();
    live.open("c1");
    says({ type: "subscribed", conversation_id: "c1", running_turn: "t1" });
    await vi.advanceTimersByTimeAsync(300);
    writes.mockClear();
    says(START, ...Array.from({ length: 100 }, (_, i) => chunk(i + 2)));
    expect(writes).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(300);
    expect(writes).toHaveBeenCalledTimes(1);
    expect(state().turns.t1?.lastSeq).toBe(101);
  });

  it("reads the conversation once after the answer, for its evidence", async () => {
    const { live, says, readMessages } = setUp();
    live.open("c1");
    says({ type: "subscribed", conversation_id: "c1", running_turn: "t1" }, START);
    await vi.advanceTimersByTimeAsync(300);
    readMessages.mockClear();
    says({
      type: "response",
      turn_id: "t1",
      seq: 9,
      message_id: "m2",
      response: "x",
      citations: [],
      suggestions: [],
    });
    await vi.advanceTimersByTimeAsync(500);
    expect(readMessages).toHaveBeenCalledTimes(1);
  });
});
