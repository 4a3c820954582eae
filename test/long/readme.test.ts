import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { docBlocks } from "../support/doc-blocks.js";
import { DocRunner } from "../support/doc-runner.js";

const root = fileURLToPath(new URL("../..", import.meta.url));

const markdownIn = (folder: string): string[] =>
  readdirSync(join(root, folder))
    .filter((name) => name.endsWith(".md"))
    .map((name) => join(folder, name));

const documents = [
  "README.md",
  "docs/getting-started.md",
  ...markdownIn("docs/guides"),
  ...readdirSync(join(root, "examples"), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .flatMap(({ name }) => markdownIn(join("examples", name))),
];

describe("what the documents tell a reader to do works as it stands there", () => {
  test.each(documents)(
    "%s",
    async (name) => {
      const blocks = docBlocks(readFileSync(join(root, name), "utf8"));
      await using runner = await DocRunner.open(name);
      await runner.run(blocks);
    },
    120_000,
  );
});

describe("the runner of documents", () => {
  const run = async (markdown: string): Promise<void> => {
    await using runner = await DocRunner.open("document");
    await runner.run(docBlocks(markdown));
  };

  test.each([
    { markdown: "```js\nthrow new Error('oops')\n```", message: /oops/, why: "a program that fails" },
    { markdown: "```sh\ntrue\nfalse\ntrue\n```", message: /ended with 1/, why: "a command that fails" },
    { markdown: "```sh\necho a\n```\n```text\nb\n```", message: /it says\nb\nbut/, why: "another output than it says" },
    { markdown: "```yaml\na: 1\n```", message: /document:1: a block of yaml/, why: "a block that nobody runs" },
    { markdown: "<!-- skipp: x -->\n```sh\ntrue\n```", message: /not understood/, why: "a misspelt comment" },
  ])("objects to $why", async ({ markdown, message }) => {
    await expect(run(markdown)).rejects.toThrow(message);
  });

  test("runs continued programs as one, files by their name, and background programs until the end", async () => {
    await run(
      [
        "```js\nconst a = 1;\n```",
        "<!-- continues -->\n```js\nconsole.log(a + 1, 'x-0123456789abcdef');\n```",
        "```text\n2 x-fedcba9876543210\n```",
        "```js\n// server.mjs\nimport http from 'node:http';",
        "http.createServer((_, res) => res.end('hi')).listen(4001, () => console.log('ready'));\n```",
        "<!-- background: ready -->\n```sh\nnode server.mjs\n```",
        "```sh\ncurl -s http://127.0.0.1:4001/\n```",
        "```text\nhi\n```",
      ].join("\n"),
    );
  });
});
