import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { resolveCircuitBreaker } from "../../../../src/plugin/interceptors/circuit-breaker.js";
import { resolveRateLimit } from "../../../../src/plugin/interceptors/rate-limit.js";
import { resolveRetry } from "../../../../src/plugin/interceptors/retry-options.js";
import { resolveTimeLimit } from "../../../../src/plugin/interceptors/time-limit.js";

const text = readFileSync(new URL("../../../../docs/reference/options.md", import.meta.url), "utf8");
const retry = resolveRetry();
const groups: Record<string, object> = {
  retry: { ...retry, budget: undefined },
  "retry.budget": retry.budget ?? {},
  circuitBreaker: resolveCircuitBreaker(),
  timeLimit: resolveTimeLimit(),
  rateLimit: { ...resolveRateLimit({ perSecond: 1 }), perSecond: undefined, burst: undefined },
};
const numbers = Object.entries(groups).flatMap(([group, options]) =>
  Object.entries(options).flatMap(([name, value]): [string, number][] =>
    typeof value === "number" ? [[`${group}.${name}`, value]] : [],
  ),
);

test.each(numbers)("the reference gives the default of %s", (name, value) => {
  const row = new RegExp(`^\\| \`${name.replaceAll(".", "\\.")}\` \\| \`([\\d_.]+)\` \\|`, "m").exec(text);
  expect(row?.[1]).toBe(value.toLocaleString("en-US").replaceAll(",", "_"));
});

test("the reference has every option", () => {
  const names = Object.entries(groups).flatMap(([group, options]) =>
    Object.keys(options)
      .filter((name) => name !== "clock" && name !== "budget")
      .map((name) => `${group}.${name}`),
  );
  expect(names.filter((name) => !text.includes(`| \`${name}\` |`))).toEqual([]);
});
