import { describe, expect, it } from "vitest";
import { AT, frame, loaded, message, stateAfter, turn } from "../test/fixtures";
import { reduce } from "./reduce";
import { shownText } from "./state";

const shown = (state: ReturnType<typeof stateAfter>): string => {
  const live = state.turns.t1;
  return live ? shownText(live) : "";
};

describe("messages", () => {
  it("stand once, however often and by whichever way they are told", () => {
    const told = frame({ type: "message", message: message() });
    const state = stateAfter(
      loaded({ items: [message()] }),
      told,
      told,
      loaded({ items: [message()] }),
    );
    expect(state.threads.c1?.messages).toHaveLength(1);
  });

  it("are sorted by time when older ones come later", () => {
    const older = message({ id: "m0", turn_id: "t0", created_at: "2026-11-21T09:00:00.000Z" });
    const state = stateAfter(
      loaded({ items: [message()], next_cursor: "x" }),
      loaded({ items: [older] }, true),
    );
    expect(state.threads.c1?.messages.map((m) => m.id)).toEqual(["m0", "m1"]);
    expect(state.threads.c1?.older).toBeNull();
  });

  it("that are final are not made unfinished by a page that was read before", () => {
    const stale = message({ id: "m2", author: "assistant", status: "streaming", content: "par" });
    const state = stateAfter(
      loaded({ items: [message()] }),
      turn.start(1),
      turn.chunk(2, "whole"),
      turn.end(3),
      turn.response(4, "whole"),
      loaded({ items: [message(), stale], running_turn: "t1" }),
    );
    expect(state.threads.c1?.messages[1]).toMatchObject({ status: "complete", content: "whole" });
    expect(state.threads.c1?.running).toBeNull();
  });
});

describe("a turn", () => {
  it("is built from each seq once", () => {
    const state = stateAfter(
      loaded(),
      turn.start(1),
      turn.chunk(2, "a"),
      turn.chunk(4, "bc"),
      turn.chunk(4, "bc"),
      turn.chunk(3, "b"),
      turn.chunk(5, "d"),
    );
    expect(shown(state)).toBe("abcd");
  });

  it("told again from its start is replaced, even when its pieces are cut differently", () => {
    const before = stateAfter(loaded(), turn.start(1), turn.chunk(2, "ab"), turn.chunk(4, "cd"));
    const state = [turn.subscribed("t1"), turn.start(1), turn.chunk(6, "abcdef")].reduce(
      reduce,
      before,
    );
    expect(shown(state)).toBe("abcdef");
  });

  it("does not shrink on the screen while it is told again", () => {
    const before = stateAfter(
      loaded(),
      turn.start(1),
      turn.chunk(4, "abcd"),
      turn.subscribed("t1"),
    );
    const begun = [turn.start(1), turn.chunk(2, "ab")].reduce(reduce, before);
    expect(shown(begun)).toBe("abcd");
    expect(shown(reduce(begun, turn.chunk(5, "cde")))).toBe("abcde");
  });

  it("that is resumed goes on where it was lost", () => {
    const state = stateAfter(
      loaded(),
      turn.start(1),
      turn.chunk(2, "ab"),
      frame({ type: "resumed", turn_id: "t1", recovered: true }),
      turn.chunk(4, "cd"),
      turn.subscribed("t1"),
      turn.chunk(5, "e"),
    );
    expect(shown(state)).toBe("abcde");
  });

  it("that cannot be resumed is dropped, to be read over REST", () => {
    const state = stateAfter(
      loaded(),
      turn.start(1),
      turn.chunk(2, "ab"),
      frame({ type: "resumed", turn_id: "t1", recovered: false }),
    );
    expect(state.turns.t1).toBeUndefined();
    expect(state.threads.c1?.running).toBeNull();
  });

  it("drops its partial when another model starts again", () => {
    const state = stateAfter(loaded(), turn.start(1), turn.chunk(2, "bad"), turn.restart(3));
    expect(shown(state)).toBe("");
    expect(state.turns.t1?.restarted).toBe("the provider failed");
    expect(shown(reduce(state, turn.chunk(4, "good")))).toBe("good");
  });

  it("ends with its response: cited, priced, and no longer running", () => {
    const state = stateAfter(
      loaded({ items: [message()] }),
      turn.start(1),
      turn.chunk(2, "a"),
      turn.end(3),
      turn.response(4, "all"),
    );
    expect(state.threads.c1?.running).toBeNull();
    expect(state.turns.t1?.costUsd).toBe(0.5);
    expect(state.threads.c1?.messages[1]).toMatchObject({
      id: "m2",
      content: "all",
      status: "complete",
      provider: "local",
      model: "big",
      usage: { input_tokens: 10, output_tokens: 2 },
      cost_usd: 0.5,
      citations: [{ line_id: "L1" }],
    });
  });

  it("keeps what was written when it is cancelled", () => {
    const state = stateAfter(
      loaded(),
      turn.start(1),
      turn.chunk(2, "par"),
      turn.end(3, "cancelled"),
      turn.response(4, "par"),
    );
    expect(state.threads.c1?.messages[0]).toMatchObject({ content: "par", status: "cancelled" });
  });

  it("shows its error where it stands", () => {
    const failed = frame({
      type: "error",
      code: "provider_unavailable",
      message: "No model could be reached.",
      turn_id: "t1",
    });
    const state = stateAfter(loaded(), turn.start(1), turn.chunk(2, "par"), failed);
    expect(state.turns.t1?.error?.code).toBe("provider_unavailable");
    expect(state.threads.c1?.running).toBeNull();
    expect(state.notice).toBeNull();
    expect(shown(state)).toBe("par");
  });

  it("puts the end of a step in the place of its beginning", () => {
    const step = (seq: number, state: "started" | "done") =>
      frame({ type: "step", turn_id: "t1", seq, tool: "search", state, summary: state });
    const state = stateAfter(loaded(), step(1, "started"), step(2, "done"), step(3, "started"));
    expect(state.turns.t1?.steps.map((s) => s.state)).toEqual(["done", "started"]);
  });

  it("asked in another tab runs here as soon as its question is told", () => {
    const state = stateAfter(loaded(), frame({ type: "message", message: message() }));
    expect(state.threads.c1?.running).toBe("t1");
  });
});

describe("a question", () => {
  const asked = (conversationId: string | null) =>
    ({ kind: "asked", clientMessageId: "q1", conversationId, content: "why?" }) as const;
  const accepted = frame({
    type: "accepted",
    client_message_id: "q1",
    conversation_id: "c1",
    message_id: "m1",
    turn_id: "t1",
  });

  it("is pending until it is accepted, and then a message", () => {
    const pending = stateAfter(loaded(), asked("c1"));
    expect(pending.pending).toHaveLength(1);
    const state = reduce(pending, accepted);
    expect(state.pending).toHaveLength(0);
    expect(state.threads.c1?.messages).toMatchObject([{ id: "m1", content: "why?" }]);
    expect(state.threads.c1?.running).toBe("t1");
  });

  it("stands once when its message is told before it is accepted", () => {
    const told = frame({ type: "message", message: message({ client_message_id: "q1" }) });
    const state = stateAfter(loaded(), asked("c1"), told, accepted);
    expect(state.pending).toHaveLength(0);
    expect(state.threads.c1?.messages).toHaveLength(1);
  });

  it("that opens a conversation says which one", () => {
    const state = stateAfter(asked(null), accepted);
    expect(state.opened).toEqual({ q1: "c1" });
    expect(state.threads.c1?.loading).toEqual({ state: "ready" });
  });

  it("stands last even when the clock of the page is behind", () => {
    const answer = message({ id: "m9", turn_id: "t9", created_at: "2026-11-21T11:00:00.000Z" });
    const state = stateAfter(loaded({ items: [answer] }), asked("c1"), accepted);
    expect(AT < answer.created_at).toBe(true);
    expect(state.threads.c1?.messages.map((m) => m.id)).toEqual(["m9", "m1"]);
  });

  it("that is refused keeps its text and its reason", () => {
    const refused = frame({
      type: "error",
      code: "turn_running",
      message: "wait",
      client_message_id: "q1",
    });
    const state = stateAfter(loaded(), asked("c1"), refused);
    expect(state.pending).toMatchObject([{ content: "why?", error: { code: "turn_running" } }]);
    expect(reduce(state, { kind: "retried", clientMessageId: "q1" }).pending[0]?.error).toBeNull();
  });
});
