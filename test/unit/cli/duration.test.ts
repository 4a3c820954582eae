import { expect, test } from "vitest";
import { parseDuration, spanText } from "../../../src/cli/duration.js";

test.each([
  { text: "500ms", ms: 500 },
  { text: "5s", ms: 5_000 },
  { text: "1.5m", ms: 90_000 },
  { text: "2h", ms: 7_200_000 },
  { text: "0s", ms: 0 },
  { text: "5", ms: undefined },
  { text: "5 s", ms: undefined },
  { text: "-5s", ms: undefined },
  { text: "5d", ms: undefined },
  { text: "s", ms: undefined },
  { text: "", ms: undefined },
  { text: "1e3s", ms: undefined },
])("$text is $ms milliseconds", ({ text, ms }) => {
  expect(parseDuration(text)).toBe(ms);
});

test.each([
  { ms: 0, text: "0s" },
  { ms: -5, text: "0s" },
  { ms: 59_999, text: "59s" },
  { ms: 60_000, text: "1m" },
  { ms: 61_000, text: "1m 1s" },
  { ms: 3_600_000, text: "1h" },
  { ms: 7_261_000, text: "2h 1m" },
  { ms: 90_000_000, text: "1d 1h" },
])("$ms milliseconds are $text", ({ ms, text }) => {
  expect(spanText(ms)).toBe(text);
});
