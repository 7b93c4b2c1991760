import { render, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { describe, expect, it, vi } from "vitest";
import type { Citation } from "../api/types";
import { CitationContext } from "./Cite";
import { Markdown, safeUrl } from "./Markdown";

const CITED: Citation = { line_id: "L1", source: "app", timestamp: null, excerpt: "boom" };

function show(text: string, settled = true) {
  const open = vi.fn();
  const scope = { settled, byId: new Map([["L1", CITED]]), open };
  const view = render(
    <CitationContext value={scope}>
      <Markdown text={text} streaming={!settled} />
    </CitationContext>,
  );
  return { open, root: view.container };
}

describe("hostile Markdown", () => {
  it("makes no element of raw HTML", () => {
    const { root } = show(
      'a <script>alert(1)</script> <img src=x onerror="alert(1)"> <b>b</b>\n\n<iframe src="https://x"></iframe>\n\n<style>*{}</style>',
    );
    expect(root.querySelector("script, img, iframe, style, b")).toBeNull();
    expect(root.textContent).toContain("<b>b</b>");
  });

  it("links to http, https and mail, and to nothing else", () => {
    const { root } = show(
      [
        "[a](javascript:alert(1))",
        "[b](JaVaScRiPt:alert(1))",
        "[c](data:text/html,x)",
        "[d](vbscript:x)",
        "[e](/api/v1/auth/logout)",
        "[f](//evil.example)",
        "<javascript:alert(1)>",
        "[g](https://example.org/a)",
        "[h](mailto:a@example.org)",
      ].join("\n\n"),
    );
    const links = [...root.querySelectorAll("a")];
    expect(links.map((link) => link.getAttribute("href"))).toEqual([
      "https://example.org/a",
      "mailto:a@example.org",
    ]);
    for (const link of links) {
      expect(link.getAttribute("rel")).toBe("noopener noreferrer nofollow");
      expect(link.getAttribute("target")).toBe("_blank");
    }
  });

  it("loads no image", () => {
    const { root } = show(
      "![chart](https://evil.example/p.png) ![x][r]\n\n[r]: https://e.example/i",
    );
    expect(root.querySelector("img")).toBeNull();
    expect(root.textContent).toContain("[image: chart]");
  });

  it("keeps hostile addresses out whatever their spelling", () => {
    for (const url of [" javascript:x", "\u0001javascript:x", "java\nscript:x", "httpx://a", ""]) {
      expect(safeUrl(url)).toBe("");
    }
  });
});

describe("a citation", () => {
  it("of a line in the evidence is a button that opens it", async () => {
    const { open } = show("It failed [L1].");
    const button = screen.getByRole("button", { name: "Open line L1" });
    await userEvent.click(button);
    expect(open).toHaveBeenCalledWith("L1", button);
  });

  it("leaves the sentence around it as it is", () => {
    const { root } = show("(It failed [L1]), twice [L1][L1]. Then: [L1]!");
    expect(root.textContent?.trim()).toBe("(It failed L1), twice L1L1. Then: L1!");
  });

  it("of any other line is flagged and opens nothing", () => {
    show("It failed [L1, L77].");
    expect(screen.getAllByRole("button")).toHaveLength(1);
    expect(screen.getByText("not in the evidence").parentElement?.textContent).toContain("L77");
  });

  it("is not judged before the answer is whole", () => {
    show("It failed [L77] and", false);
    expect(screen.queryByText("not in the evidence")).toBeNull();
    expect(screen.getByText("L77")).toBeTruthy();
  });

  it("cannot be made to lead elsewhere", () => {
    const { root } = show("> [L1]: https://evil.example\n>\n> see [L1]");
    expect(root.querySelector("a")).toBeNull();
    expect(screen.getByRole("button", { name: "Open line L1" })).toBeTruthy();
  });

  it("is not looked for in code", () => {
    show("`[L1]`\n\n```\n[L1]\n```");
    expect(screen.queryByRole("button", { name: "Open line L1" })).toBeNull();
  });
});
