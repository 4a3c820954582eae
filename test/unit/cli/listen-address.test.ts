import { expect, test } from "vitest";
import { parseListen } from "../../../src/cli/listen-address.js";

test.each([
  { text: "127.0.0.1:4000", target: { host: "127.0.0.1", port: 4000 } },
  { text: "localhost:0", target: { host: "localhost", port: 0 } },
  { text: "[::1]:80", target: { host: "::1", port: 80 } },
  { text: "0.0.0.0:65535", target: { host: "0.0.0.0", port: 65_535 } },
  { text: "unix:/run/host.sock", target: { path: "/run/host.sock" } },
  { text: "127.0.0.1", target: undefined },
  { text: "4000", target: undefined },
  { text: ":4000", target: undefined },
  { text: "::1:80", target: undefined },
  { text: "127.0.0.1:65536", target: undefined },
  { text: "127.0.0.1:-1", target: undefined },
  { text: "http://127.0.0.1:4000", target: undefined },
  { text: "unix:", target: undefined },
  { text: "", target: undefined },
])("$text", ({ text, target }) => {
  expect(parseListen(text)).toEqual(target);
});
