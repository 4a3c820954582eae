import { expect, test } from "vitest";
import { remainingDeadline } from "../../../src/router/deadline.js";

test.each([
  { field: "connect-timeout-ms", given: "2000", elapsedMs: 0.5, is: "2000", why: "less than it can express is over" },
  { field: "connect-timeout-ms", given: "2000", elapsedMs: 500, is: "1500", why: "what is over is taken off" },
  { field: "connect-timeout-ms", given: "5", elapsedMs: 500, is: "1", why: "nothing is no time" },
  { field: "connect-timeout-ms", given: "2147483647", elapsedMs: 0, is: "2147483647", why: "a timer can wait for it" },
  { field: "connect-timeout-ms", given: "9999999999", elapsedMs: 0, is: "2147483647", why: "no timer can wait longer" },
  { field: "connect-timeout-ms", given: "soon", elapsedMs: 500, is: "soon", why: "the provider is to refuse it" },
  { field: "grpc-timeout", given: "99999999S", elapsedMs: 0, is: "2147483S", why: "no timer can wait longer" },
  { field: "grpc-timeout", given: "99999999H", elapsedMs: 5_000, is: "2147483S", why: "nor after a while" },
  { field: "grpc-timeout", given: "200000S", elapsedMs: 500, is: "199999S", why: "so many milliseconds do not fit" },
] as const)("$field $given after $elapsedMs ms goes on as $is: $why", ({ field, given, elapsedMs, is }) =>
  expect(remainingDeadline(field, given, elapsedMs)).toBe(is),
);
