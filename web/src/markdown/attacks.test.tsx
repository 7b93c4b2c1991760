// What a model says that obeys the log: the page shows it, and nothing of it acts or loads anything.
// `tests/api/injection.rs` lets a model obey the same attacks on the server.
import { render } from "@testing-library/react";
import { describe, expect, it, vi } from "vitest";
import attacks from "../test/attacks.json";
import { CitationContext } from "./Cite";
import { Markdown } from "./Markdown";

const ACTIVE =
  "script, img, image, iframe, object, embed, form, input, style, link, meta, base, video, audio";

function show(text: string): HTMLElement {
  const scope = { settled: true, byId: new Map(), open: vi.fn() };
  const view = render(
    <CitationContext value={scope}>
      <Markdown text={text} streaming={false} />
    </CitationContext>,
  );
  return view.container;
}

describe("what an obedient model says", () => {
  it.each(attacks.map((attack) => [attack.name, attack.says] as const))("%s", (_, says) => {
    const stolen = "salary of Eve";
    const root = show(
      says.replaceAll("%EVIL%", "https://evil.example").replaceAll("%STOLEN%", stolen),
    );
    expect(root.querySelector(ACTIVE)).toBeNull();
    for (const element of root.querySelectorAll("*")) {
      for (const { name, value } of element.attributes) {
        expect(name.startsWith("on"), name).toBe(false);
        expect(name === "src" || name === "srcset" || name === "style", name).toBe(false);
        if (name !== "href") continue;
        expect(value).toMatch(/^(https?:|mailto:)/);
        expect(element.getAttribute("rel")).toBe("noopener noreferrer nofollow");
      }
    }
  });
});
