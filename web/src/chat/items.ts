// A thread as it is shown: questions, answers (stored or being written), and what is not yet sent.
import type { Message, TurnId } from "../api/types";
import type { LiveTurn, Pending, Thread } from "../live/state";

export type ThreadItem =
  | { kind: "question"; key: string; message: Message }
  | {
      kind: "answer";
      key: string;
      turnId: TurnId;
      message: Message | null;
      turn: LiveTurn | null;
      running: boolean;
    }
  | { kind: "pending"; key: string; pending: Pending };

export function threadItems(
  thread: Pick<Thread, "messages" | "running">,
  turns: Record<TurnId, LiveTurn>,
  pending: Pending[],
): ThreadItem[] {
  const items: ThreadItem[] = [];
  const answered = new Set(
    thread.messages.filter((m) => m.author === "assistant").map((m) => m.turn_id),
  );
  const answer = (turnId: TurnId, message: Message | null): void => {
    items.push({
      kind: "answer",
      key: `answer-${turnId}`,
      turnId,
      message,
      turn: turns[turnId] ?? null,
      running: thread.running === turnId,
    });
  };
  for (const message of thread.messages) {
    if (message.author === "assistant") {
      answer(message.turn_id, message);
      continue;
    }
    // The optimistic question keeps its place in the page when it is accepted.
    const key = message.client_message_id ?? message.id;
    items.push({ kind: "question", key: `question-${key}`, message });
    const live = turns[message.turn_id];
    const known = thread.running === message.turn_id || live?.error || live?.text;
    if (!answered.has(message.turn_id) && known) {
      answer(message.turn_id, null);
      answered.add(message.turn_id);
    }
  }
  const { running } = thread;
  if (running && !answered.has(running)) answer(running, null);
  for (const item of pending) {
    items.push({ kind: "pending", key: `question-${item.clientMessageId}`, pending: item });
  }
  return items;
}
