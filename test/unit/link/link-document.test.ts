import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { callKind } from "../../../src/link/frame.js";
import { unsaidLimits } from "../../../src/link/hello.js";
import { defaultLinkLimits } from "../../../src/link/link-limits.js";
import { SectionReader } from "../../../src/link/section-reader.js";
import { framesIn, fromHex, helloBytes } from "../../support/link-frames.js";
import { openLinkPair, recorder } from "../../support/link-pair.js";

const page = readFileSync(new URL("../../../docs/reference/link.md", import.meta.url), "utf8");
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** The bytes of the page's example, without what stands beside them. */
const example = (page.split("```")[1] as string)
  .trim()
  .split("\n\n")
  .map((frame) =>
    fromHex(
      frame
        .split("\n")
        .map((line) => line.trim().split("   ")[0])
        .join(" "),
    ),
  );

test("the example of the page is what goes over the wire", async () => {
  const { dialler, acceptor, settle } = await openLinkPair();
  const answer = recorder();
  const head = { kind: callKind.unary, path: "/a.A/B", deadlineMs: 0, fields: [] };
  dialler.session.open(head, answer, Buffer.from("hi"), true);
  await turn();
  expect(Buffer.concat(dialler.transport.sent)).toEqual(Buffer.from(example[0] as Uint8Array));
  dialler.transport.deliver();
  acceptor.calls[0]?.stream.sendHead(["x", "1"]);
  acceptor.calls[0]?.stream.end(undefined, Buffer.from("ho"));
  await turn();
  expect(Buffer.concat(acceptor.transport.sent)).toEqual(Buffer.from(example[1] as Uint8Array));
  await settle();
  expect(answer.log).toEqual(["head x 1", "data ho", "end 0"]);
});

test.each([
  "maxFrameBytes",
  "maxHeadBytes",
  "maxFields",
  "maxMessageBytes",
  "maxStreams",
  "streamWindowBytes",
  "linkWindowBytes",
  "tableSlots",
  "maxErrorBytes",
] as const)("the page has the default of %s, and what it is for a side that does not say it", (name) => {
  const number = Object.keys(unsaidLimits).indexOf(name) + 1;
  const rows = page.slice(page.indexOf("3.3 "), page.indexOf("3.4 ")).split("\n");
  const shown = [unsaidLimits, defaultLinkLimits].map((limits) => limits[name].toLocaleString("en"));
  const row = rows.filter((line) => line.startsWith(`| ${number} |`));
  expect(row).toEqual([expect.stringMatching(new RegExp(` \\| ${shown.join(" \\| ")} \\|$`))]);
});

test("settings have the numbers of the page", () => {
  const [hello] = framesIn([helloBytes()]);
  const said: number[] = [];
  const reader = new SectionReader();
  reader.reset(Buffer.from(hello?.payload ?? []), 5, hello?.payload.length ?? 0);
  while (!reader.done) said.push(reader.varint());
  const expected = Object.keys(unsaidLimits).flatMap((name, index) => [
    index + 1,
    defaultLinkLimits[name as keyof typeof unsaidLimits],
  ]);
  expect(said).toEqual(expected);
});
