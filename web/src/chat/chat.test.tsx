import { fireEvent, render, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { describe, expect, it, vi } from "vitest";
import { newTurn } from "../live/state";
import { message } from "../test/fixtures";
import { Composer } from "./Composer";
import { forgetDrafts, readDraft } from "./drafts";
import { threadItems } from "./items";

describe("the items of a thread", () => {
  const running = { ...newTurn("t1", "c1"), text: "par" };

  it("show the running answer once, stored or not", () => {
    const stored = message({ id: "m2", author: "assistant", status: "streaming" });
    for (const messages of [[message()], [message(), stored]]) {
      const items = threadItems({ messages, running: "t1" }, { t1: running }, []);
      expect(items.map((item) => item.kind)).toEqual(["question", "answer"]);
      expect(items[1]).toMatchObject({ key: "answer-t1", running: true });
    }
  });

  it("keep the key of an answer and of a question when they become final", () => {
    const pending = { clientMessageId: "q1", conversationId: "c1", content: "why?", error: null };
    const before = threadItems({ messages: [], running: null }, {}, [pending]);
    const asked = message({ client_message_id: "q1" });
    const after = threadItems({ messages: [asked], running: "t1" }, { t1: running }, []);
    const answer = message({ id: "m2", author: "assistant" });
    const final = threadItems({ messages: [asked, answer], running: null }, {}, []);
    expect(after[0]?.key).toBe(before[0]?.key);
    expect(final[1]?.key).toBe(after[1]?.key);
  });

  it("keep an error that no stored answer tells", () => {
    const failed = { ...running, text: "", error: { code: "x", message: "y", retryAfterMs: null } };
    const items = threadItems({ messages: [message()], running: null }, { t1: failed }, []);
    expect(items.map((item) => item.kind)).toEqual(["question", "answer"]);
  });
});

describe("the composer", () => {
  const show = (answering = false) => {
    const onSend = vi.fn();
    const onStop = vi.fn();
    const view = render(
      <Composer
        draftKey="c1"
        seed={null}
        answering={answering}
        stopping={false}
        autoFocus={false}
        onSend={onSend}
        onStop={onStop}
      />,
    );
    return { onSend, onStop, view, field: screen.getByLabelText<HTMLTextAreaElement>("Question") };
  };

  it("sends with Enter and makes a new line with Shift+Enter", async () => {
    const { onSend, field } = show();
    await userEvent.type(field, "one{Shift>}{Enter}{/Shift}two{Enter}");
    expect(onSend).toHaveBeenCalledExactlyOnceWith("one\ntwo");
    expect(field.value).toBe("");
  });

  it("does not send while a word is being composed, nor nothing", async () => {
    const { onSend, field } = show();
    await userEvent.type(field, "  {Enter}");
    await userEvent.type(field, "に");
    fireEvent.keyDown(field, { key: "Enter", isComposing: true });
    expect(onSend).not.toHaveBeenCalled();
  });

  it("stops in place of sending while an answer is written, and keeps what is typed", async () => {
    const { onSend, onStop, field } = show(true);
    await userEvent.type(field, "next{Enter}");
    expect(onSend).not.toHaveBeenCalled();
    await userEvent.click(screen.getByRole("button", { name: "Stop answering" }));
    expect(onStop).toHaveBeenCalledTimes(1);
    expect(field.value).toBe("next");
  });

  it("keeps a draft over an expired session, until it is forgotten", async () => {
    const first = show();
    await userEvent.type(first.field, "half a quest");
    first.view.unmount();
    const second = show();
    expect(second.field.value).toBe("half a quest");
    second.view.unmount();
    forgetDrafts();
    expect(readDraft("c1")).toBe("");
  });
});
