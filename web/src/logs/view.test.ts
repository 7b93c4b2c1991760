import { describe, expect, it } from "vitest";
import { fromInput, type LogView, ofPattern, readView, requestOf, toInput } from "./view";

const NOW = new Date("2026-11-21T10:00:00.000Z");

describe("the address of a log search", () => {
  it("reads back what it holds", () => {
    const view: LogView = {
      q: "failed -root",
      from: "2026-11-20T00:00:00.000Z",
      to: "2026-11-21T00:00:00.000Z",
      level: "warn",
      source: "s1",
      order: "best",
      patterns: "rising",
      line: "L7",
    };
    const address = new URLSearchParams(view as Record<string, string>).toString();
    expect(readView(Object.fromEntries(new URLSearchParams(address)))).toEqual(view);
  });

  it("goes from a pattern to its lines", () => {
    const view: LogView = { q: "failed", level: "warn", patterns: "rising", line: "L7" };
    expect(ofPattern(view, "P3")).toEqual({ q: "failed pattern:P3", level: "warn" });
    expect(ofPattern({}, "P3")).toEqual({ q: "pattern:P3" });
    expect(readView({ patterns: "loudest" })).toEqual({});
  });

  it("keeps a query of digits as text", () => {
    expect(readView({ q: "404" })).toEqual({ q: "404" });
    expect(readView({ q: 404 })).toEqual({ q: "404" });
  });

  it("leaves out what cannot be read", () => {
    const junk = {
      q: "",
      last: "9y",
      from: "soon",
      level: "loud",
      order: "x",
      line: "7",
      foo: "1",
    };
    expect(readView(junk)).toEqual({});
    expect(readView({ last: "toString" })).toEqual({});
  });

  it("has a while or two ends, not both", () => {
    expect(readView({ last: "1h", from: "2026-11-20T00:00:00Z" })).toEqual({ last: "1h" });
  });
});

describe("the request of a log search", () => {
  it("counts a while back from the moment of the search", () => {
    expect(requestOf({ last: "1h" }, NOW)).toMatchObject({
      from: "2026-11-21T09:00:00.000Z",
      to: undefined,
    });
  });

  it("names the fields as the server does, and leaves the open line out", () => {
    const view: LogView = { q: "x", level: "error", source: "s1", order: "best", line: "L7" };
    expect(requestOf(view, NOW)).toEqual({
      q: "x",
      from: undefined,
      to: undefined,
      level: "error",
      source_id: "s1",
      order: "best",
    });
  });
});

describe("the time fields", () => {
  it("are in UTC, with or without seconds", () => {
    expect(fromInput("2026-11-21T10:00")).toBe("2026-11-21T10:00:00.000Z");
    expect(fromInput("2026-11-21T10:00:30")).toBe("2026-11-21T10:00:30.000Z");
    expect(fromInput("")).toBeUndefined();
    expect(toInput("2026-11-21T10:00:30.000Z")).toBe("2026-11-21T10:00:30");
  });
});
