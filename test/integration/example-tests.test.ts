import { execFile } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { beforeAll, expect, test } from "vitest";
import { builtExamples } from "../support/built-examples.js";

beforeAll(() => void builtExamples(), 60_000);

test("the examples' own tests pass, with Node's test runner", async () => {
  const folder = join(builtExamples(), "examples");
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".test.js"));
  expect(files.sort()).toEqual(["app/app.test.js", "cache/cache.test.js", "logger/logger.test.js"]);
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ["--test", "--test-concurrency=1", "--test-reporter=tap", ...files.map((name) => join(folder, name))],
    { env },
  ).catch((error: { stdout: string }) => ({ stdout: error.stdout }));
  expect(stdout).toContain("# fail 0\n");
  expect(stdout).toContain("# pass 7\n");
}, 60_000);
