import { expect, test } from "vitest";
import { FrameWriter } from "../../../src/link/frame-writer.js";
import { SectionReader } from "../../../src/link/section-reader.js";
import { maxTableTextBytes, ReceiveTable, SendTable } from "../../../src/link/text-table.js";

/** What a text costs, after it went through both tables and came out the same. */
function costs(slots: number, texts: readonly string[]): number[] {
  const [send, receive, reader] = [new SendTable(slots), new ReceiveTable(slots), new SectionReader()];
  return texts.map((text) => {
    const writer = new FrameWriter();
    writer.begin(0, 0, 0);
    send.write(writer, text);
    const bytes = Buffer.from(writer.take());
    reader.reset(bytes, 9, bytes.length);
    expect(receive.read(reader, "value")).toBe(text);
    expect(reader.done).toBe(true);
    expect(receive.lastBytes).toBe(Buffer.byteLength(text));
    return bytes.length - 9;
  });
}

test("a text is stored when it comes for the second time, and is a number from then on", () => {
  expect(costs(256, ["/log.v1.Log/Write", "/log.v1.Log/Write", "/log.v1.Log/Write"])).toEqual([18, 19, 1]);
});

test("the oldest slot is used again when the table is full", () => {
  const twice = (text: string) => [text, text];
  const sizes = costs(2, [...twice("aaaa"), ...twice("bbbb"), "aaaa", ...twice("cccc"), "bbbb", "aaaa"]);
  expect(sizes).toEqual([5, 6, 5, 6, 1, 5, 6, 1, 5]);
});

test("nothing is stored without slots, and long texts never", () => {
  expect(costs(0, ["abcd", "abcd", "abcd"])).toEqual([5, 5, 5]);
  const long = "x".repeat(maxTableTextBytes + 1);
  expect(new Set(costs(8, [long, long, long]))).toEqual(new Set([long.length + 2]));
});

test("texts beyond ASCII come through, short and long", () => {
  costs(8, ["ü", "ü", "ü", `${"a".repeat(60)}€😀`, "", "", "a\tb"]);
});

test("thousands of texts that come once do not push out those that come often", () => {
  const texts = Array.from({ length: 3_000 }, (_, index) => [`once-${index}`, "often"]).flat();
  const sizes = costs(4, texts).filter((_, index) => texts[index] === "often");
  expect(sizes.slice(2).every((size) => size === 1)).toBe(true);
});
