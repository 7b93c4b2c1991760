// Citations in an answer: `[L123]`, `[L1, L2]`. Found in the text nodes of the parsed Markdown, so
// that neither code nor links are touched.
import type { LineId } from "../api/types";

const CITATION = /\[(L\d{1,20}(?:\s*[,;]\s*L\d{1,20})*)\]/g;
const LABEL = /^L\d{1,20}(?:\s*[,;]\s*L\d{1,20})*$/;

/** Text pieces and lists of line ids, in their order. */
export function splitCitations(text: string): (string | LineId[])[] {
  const parts: (string | LineId[])[] = [];
  let end = 0;
  for (const match of text.matchAll(CITATION)) {
    if (match.index > end) parts.push(text.slice(end, match.index));
    parts.push((match[1] ?? "").split(/\s*[,;]\s*/));
    end = match.index + match[0].length;
  }
  if (end < text.length) parts.push(text.slice(end));
  return parts;
}

interface Node {
  type: string;
  value?: string;
  label?: string | null;
  children?: Node[];
  data?: { hName: string; hProperties: Record<string, string> };
}

const TAIL = /^[.,;:!?)]+/;

function citation(ids: LineId[], tail = ""): Node {
  return {
    type: "citation",
    data: { hName: "cite", hProperties: { dataLines: ids.join(" "), dataTail: tail } },
    children: [{ type: "text", value: ids.join(", ") }],
  };
}

function expand(node: Node): Node[] {
  if (node.type === "text" && node.value?.includes("[L")) {
    const parts = splitCitations(node.value);
    const tailAfter = (index: number): string => {
      const next = parts[index + 1];
      return typeof next === "string" ? (TAIL.exec(next)?.[0] ?? "") : "";
    };
    return parts.map((part, index) => {
      if (typeof part !== "string") return citation(part, tailAfter(index));
      return { type: "text", value: index > 0 ? part.replace(TAIL, "") : part };
    });
  }
  // A hostile `[L1]: https://…` would turn a citation into a link; it stays a citation.
  if (node.type === "linkReference" && node.label && LABEL.test(node.label)) {
    return [citation(node.label.split(/\s*[,;]\s*/))];
  }
  visit(node);
  return [node];
}

function visit(node: Node): void {
  if (node.children) node.children = node.children.flatMap(expand);
}

/** The remark plugin. */
export function remarkCitations() {
  return (tree: unknown): void => visit(tree as Node);
}
