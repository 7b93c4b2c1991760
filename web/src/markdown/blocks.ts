// Cuts Markdown into blocks, so that while an answer streams only its last block is rendered anew.
import { lexer } from "marked";
import remend from "remend";

/** Blocks of `text`; what is still open in a streaming text is closed for the moment. */
export function splitBlocks(text: string, streaming: boolean): string[] {
  const whole = streaming ? remend(text, { linkMode: "text-only", images: false }) : text;
  const blocks: string[] = [];
  for (const token of lexer(whole, { gfm: true })) {
    const last = blocks.length - 1;
    if (token.type === "space" && last >= 0) blocks[last] += token.raw;
    else blocks.push(token.raw);
  }
  return blocks;
}
