// Model output as React elements. It is hostile: no raw HTML, no images, no link but to http(s) and
// mail. Settled blocks are memoised.
import { memo, type ReactNode, useId, useMemo } from "react";
import ReactMarkdown, { type Components } from "react-markdown";
import remarkGfm from "remark-gfm";
import { CopyButton } from "../ui/CopyButton";
import { splitBlocks } from "./blocks";
import { Cite } from "./Cite";
import { remarkCitations } from "./citations";

const PLUGINS = [remarkGfm, remarkCitations];
const ALLOWED = /^(?:https?:|mailto:)/i;

/** Only absolute addresses: a relative one would lead into this page. */
export function safeUrl(url: string): string {
  const trimmed = url.trim();
  return ALLOWED.test(trimmed) ? trimmed : "";
}

function textOf(node: ReactNode): string {
  if (typeof node === "string" || typeof node === "number") return String(node);
  if (Array.isArray(node)) return node.map(textOf).join("");
  if (node && typeof node === "object" && "props" in node) {
    return textOf((node.props as { children?: ReactNode }).children);
  }
  return "";
}

const COMPONENTS: Components = {
  a: ({ href, children }) =>
    href ? (
      <a href={href} target="_blank" rel="noopener noreferrer nofollow">
        {children}
      </a>
    ) : (
      <span>{children}</span>
    ),
  // A remote image would tell its server who reads what; only its words are shown.
  img: ({ alt }) => <span className="text-soft">[image: {alt || "without a description"}]</span>,
  input: ({ checked }) => <span aria-hidden="true">{checked ? "☑ " : "☐ "}</span>,
  cite: ({ node }) => {
    const { dataLines, dataTail } = node?.properties ?? {};
    if (typeof dataLines !== "string") return null;
    return <Cite ids={dataLines.split(" ")} tail={typeof dataTail === "string" ? dataTail : ""} />;
  },
  pre: ({ children }) => (
    <div className="relative">
      <div className="absolute top-1 right-1 rounded bg-panel">
        <CopyButton compact text={textOf(children)} label="Copy code" />
      </div>
      <pre
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keys
        tabIndex={0}
        className="overflow-x-auto rounded-lg border border-line bg-panel p-3 pr-9 font-mono text-xs leading-relaxed"
      >
        {children}
      </pre>
    </div>
  ),
  table: ({ children }) => (
    // biome-ignore lint/a11y/useSemanticElements: a group of the table and its scrolling, no fieldset
    <div
      role="group"
      aria-label="Table"
      // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keys
      tabIndex={0}
      className="overflow-x-auto"
    >
      <table>{children}</table>
    </div>
  ),
};

const Block = memo(function Block({ raw, prefix }: { raw: string; prefix: string }) {
  const options = useMemo(() => ({ clobberPrefix: prefix }), [prefix]);
  return (
    <ReactMarkdown
      remarkPlugins={PLUGINS}
      remarkRehypeOptions={options}
      components={COMPONENTS}
      urlTransform={safeUrl}
    >
      {raw}
    </ReactMarkdown>
  );
});

interface MarkdownProps {
  text: string;
  streaming: boolean;
}

export function Markdown({ text, streaming }: MarkdownProps) {
  const id = useId();
  const blocks = useMemo(() => splitBlocks(text, streaming), [text, streaming]);
  return (
    <div className="prose-answer">
      {blocks.map((raw, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: blocks are only appended, never moved
        <Block key={index} raw={raw} prefix={`${id}${index}-`} />
      ))}
    </div>
  );
}
