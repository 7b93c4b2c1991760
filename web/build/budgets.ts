// Fails the build when the page grows over its budget (gzip bytes, as a browser would load them).
import { gzipSync } from "node:zlib";
import type { Plugin, Rolldown } from "vite";

export interface Budgets {
  /** The entry chunk and all that it imports statically. */
  entryJs: number;
  /** All style sheets. */
  css: number;
  /** Every chunk. */
  allJs: number;
}

function gz(source: string | Uint8Array): number {
  return gzipSync(source, { level: 9 }).length;
}

function measure(bundle: Rolldown.OutputBundle): Budgets {
  const chunks = Object.values(bundle).filter((item) => item.type === "chunk");
  const byName = new Map(chunks.map((chunk) => [chunk.fileName, chunk]));
  const entry = new Set<string>();
  const visit = (name: string): void => {
    if (entry.has(name)) return;
    entry.add(name);
    for (const imported of byName.get(name)?.imports ?? []) visit(imported);
  };
  for (const chunk of chunks) if (chunk.isEntry) visit(chunk.fileName);
  const size = (names: Iterable<string>): number =>
    [...names].reduce((sum, name) => sum + gz(byName.get(name)?.code ?? ""), 0);
  const css = Object.values(bundle)
    .filter((item) => item.type === "asset" && item.fileName.endsWith(".css"))
    .reduce((sum, item) => sum + (item.type === "asset" ? gz(item.source) : 0), 0);
  return { entryJs: size(entry), css, allJs: size(byName.keys()) };
}

export function budgets(limits: Budgets): Plugin {
  return {
    name: "callboard:budgets",
    apply: "build",
    enforce: "post",
    writeBundle(_options, bundle) {
      const sizes = measure(bundle);
      for (const key of ["entryJs", "css", "allJs"] as const) {
        const line = `${key} ${sizes[key]} of ${limits[key]} bytes gzip`;
        if (sizes[key] > limits[key]) this.error(`over budget: ${line}`);
        this.info(line);
      }
    },
  };
}
