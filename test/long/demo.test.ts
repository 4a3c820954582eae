import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** Runs the demo as `npm run demo` does. */
async function runDemo(): Promise<{ code: number | null; output: string }> {
  const demo = spawn(process.execPath, ["scripts/run-example.mjs", "demo"], { cwd: root });
  let output = "";
  for (const stream of [demo.stdout, demo.stderr]) {
    stream.setEncoding("utf8");
    stream.on("data", (text: string) => {
      output += text;
    });
  }
  const code = await new Promise<number | null>((resolve) => demo.on("close", resolve));
  return { code, output };
}

test("the demo ends with 0, says that nothing failed, and has no colours where nobody sees them", async () => {
  const { code, output } = await runDemo();
  expect(output).toContain("start     logger -> cache -> app");
  expect(output).toMatch(/^impact .*: cache, app$/m);
  expect(output).toMatch(/^replace {3}logger 1\.0\.0 -> 1\.1\.0 in /m);
  expect(output).toContain("start, health, register, switch, drain, shutdown, forget");
  expect(output).toContain("cache is degraded: logger unavailable");
  expect(output).toContain("cache is healthy");
  expect(output).toMatch(/[1-9][\d,]* to app answered, 0 failed/);
  expect(output.trimEnd().split("\n").at(-1)).toBe("Nothing failed.");
  expect(output).not.toContain("\u001b");
  expect(code).toBe(0);
}, 60_000);
