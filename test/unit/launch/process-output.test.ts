import { PassThrough } from "node:stream";
import { expect, test } from "vitest";
import { ProcessOutput } from "../../../src/launch/process-output.js";
import type { OutputLine } from "../../../src/model/launch.js";

async function linesOf(chunks: readonly (string | Buffer)[], secret = ""): Promise<OutputLine[]> {
  const lines: OutputLine[] = [];
  await read(new ProcessOutput((line) => lines.push(line), secret), chunks);
  return lines;
}

async function read(output: ProcessOutput, chunks: readonly (string | Buffer)[]): Promise<void> {
  const stream = new PassThrough();
  output.read("stdout", stream);
  const ended = new Promise((resolve) => stream.once("end", resolve));
  for (const chunk of chunks) stream.write(chunk);
  stream.end();
  await ended;
}

const texts = (lines: readonly OutputLine[]): string[] => lines.map(({ line }) => line);

test("chunks are put together to lines, whatever their borders", async () => {
  expect(texts(await linesOf(["on", "e\ntw", "o\r\n\nthr", "ee"]))).toEqual(["one", "two", "", "three"]);
});

test("characters that a border cuts in two stay whole", async () => {
  const bytes = Buffer.from("grün\n");
  expect(texts(await linesOf([bytes.subarray(0, 3), bytes.subarray(3)]))).toEqual(["grün"]);
});

test("a line that is too long is cut once, and the next one is whole", async () => {
  const lines = await linesOf(["a".repeat(6_000), "a".repeat(6_000), "a".repeat(6_000), "\nnext\n"]);
  expect(lines.map(({ line, truncated }) => [line.length, truncated])).toEqual([
    [8_192, true],
    [4, false],
  ]);
});

test("a secret is not in any line", async () => {
  expect(texts(await linesOf(["at /_launch/s3cret/x\n"], "s3cret"))).toEqual(["at /_launch/[redacted]/x"]);
});

test("the last lines are kept, without empty ones", async () => {
  const output = new ProcessOutput(() => {}, "");
  await read(
    output,
    Array.from({ length: 30 }, (_, index) => `line ${index}\n\n`),
  );
  expect(output.lastLines).toEqual(Array.from({ length: 20 }, (_, index) => `line ${index + 10}`));
});
