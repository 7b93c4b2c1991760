import { describe, expect, it } from "vitest";
import { splitBlocks } from "./blocks";
import { splitCitations } from "./citations";

describe("citations", () => {
  it("are found alone, in lists, and one after another", () => {
    expect(splitCitations("a [L1] b [L2, L3][L4;L5].")).toEqual([
      "a ",
      ["L1"],
      " b ",
      ["L2", "L3"],
      ["L4", "L5"],
      ".",
    ]);
  });

  it("are nothing else", () => {
    for (const text of [
      "[L]",
      "[l1]",
      "L1",
      "[L1",
      "[L1 L2]",
      "[xL1]",
      "[L-1]",
      `[L${"9".repeat(21)}]`,
    ]) {
      expect(splitCitations(text)).toEqual([text]);
    }
  });
});

describe("blocks", () => {
  it("lose nothing of the text", () => {
    const text = "# A\n\n- b\n- c\n\n| x |\n|---|\n| 1 |\n\n```\ncode\n\nmore\n```\n\nend";
    expect(splitBlocks(text, false).join("")).toBe(text);
  });

  it("that are settled stay the same while the text grows", () => {
    const first = splitBlocks("One.\n\nTwo **bo", true);
    const second = splitBlocks("One.\n\nTwo **bold** and", true);
    expect(second[0]).toBe(first[0]);
    expect(first[1]).toBe("Two **bo**");
  });
});
