// The store of all live state. Frames are collected and written at most once per animation frame.
import { create } from "zustand";
import { type LiveEvent, reduce } from "./reduce";
import type { SocketStatus } from "./socket";
import { emptyState, type LiveState } from "./state";

export interface LiveStore {
  live: LiveState;
  status: SocketStatus;
}

export const useLive = create<LiveStore>(() => ({ live: emptyState, status: { state: "idle" } }));

/** In a hidden tab there are no animation frames; then this is how long an event waits. */
const HIDDEN_MS = 200;

export class Batch {
  private events: LiveEvent[] = [];
  private frame: number | undefined;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private readonly write: (events: LiveEvent[]) => void;

  constructor(write: (events: LiveEvent[]) => void) {
    this.write = write;
  }

  add(event: LiveEvent): void {
    this.events.push(event);
    this.frame ??= requestAnimationFrame(() => this.flush());
    this.timer ??= setTimeout(() => this.flush(), HIDDEN_MS);
  }

  flush(): void {
    if (this.frame !== undefined) cancelAnimationFrame(this.frame);
    clearTimeout(this.timer);
    this.frame = undefined;
    this.timer = undefined;
    if (this.events.length === 0) return;
    const { events } = this;
    this.events = [];
    this.write(events);
  }
}

export function applyEvents(events: LiveEvent[]): void {
  useLive.setState(({ live }) => ({ live: events.reduce(reduce, live) }));
}
