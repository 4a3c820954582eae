/** A block of code in a document, with what the comment before it says about running it. */
export interface DocBlock {
  /** Such as `js`, `sh` or `text`; empty if the fence names none. */
  readonly language: string;
  readonly code: string;
  /** Line of the fence, from 1. */
  readonly line: number;
  /** The name in a comment on the block's first line, such as `host.mjs`. */
  readonly fileName: string | undefined;
  /**
   * Where a comment `<!-- name: value -->` stands right before the fence. `skip`: not run, for the reason given.
   * `continues`: goes on with the program of the `js` block before. `background`: runs until the end of the document; what
   * comes next waits until it has printed the value.
   */
  readonly directive: { readonly name: "skip" | "continues" | "background"; readonly value: string } | undefined;
}

const fence = /^( *)```(\S*)\s*$/;
const comment = /^<!-- (skip|continues|background)(?:: (.+?))? -->$/;
const fileComment = /^(?:\/\/|#) ([\w./-]+\.[a-z]+)$/;

/** Finds the blocks of a Markdown document. @throws Error if a comment is not understood or a block does not end */
export function docBlocks(markdown: string): DocBlock[] {
  const lines = markdown.split("\n");
  const blocks: DocBlock[] = [];
  for (let index = 0; index < lines.length; index += 1) {
    const open = fence.exec(lines[index] ?? "");
    if (open === null) continue;
    const [, indent = "", language = ""] = open;
    const end = lines.findIndex((line, at) => at > index && line.trimEnd() === `${indent}\`\`\``);
    if (end === -1) throw new Error(`the block at line ${index + 1} does not end`);
    const code = lines.slice(index + 1, end).map((line) => line.slice(indent.length));
    const before = lines[index - 1]?.trim() ?? "";
    const directive = comment.exec(before);
    if (directive === null && before.startsWith("<!--")) throw new Error(`line ${index}: ${before} is not understood`);
    blocks.push({
      language,
      code: `${code.join("\n")}\n`,
      line: index + 1,
      fileName: fileComment.exec(code[0] ?? "")?.[1],
      directive:
        directive === null
          ? undefined
          : { name: directive[1] as "skip" | "continues" | "background", value: directive[2] ?? "" },
    });
    index = end;
  }
  return blocks;
}
