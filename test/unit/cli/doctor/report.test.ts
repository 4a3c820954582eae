import { expect, test } from "vitest";
import { DoctorSection, type StepResult } from "../../../../src/cli/doctor/doctor-report.js";
import { conclusionText, stepText } from "../../../../src/cli/doctor/doctor-text.js";
import type { StartWatch } from "../../../../src/cli/doctor/start-watch.js";
import { stepOf } from "../../../../src/cli/doctor/step-of.js";
import { programSteps } from "../../../../src/cli/doctor/step-titles.js";
import { outputFinding } from "../../../../src/cli/doctor/tell-output.js";
import { failure } from "../../../../src/cli/doctor/tell-start.js";
import { styleFor } from "../../../../src/cli/text.js";
import { wrap } from "../../../../src/cli/wrap.js";
import { type ErrorCode, PluginHostError } from "../../../../src/index.js";

const plain = styleFor(false, {});

test("steps are told in their order, however they are found out, and only the first finding counts", () => {
  const told: string[] = [];
  const section = new DoctorSection("x", { machine: "a", starts: "b", health: "c" }, ({ step }) => told.push(step));
  section.ok("health", "fine");
  section.ok("port", "is no step of this section");
  expect(told).toEqual([]);
  section.ok("machine", "first");
  section.warn("machine", "second", "hint");
  expect(told).toEqual(["machine"]);
  section.close("not reached");
  expect(section.results.map(({ step, status, seen }) => [step, status, seen])).toEqual([
    ["machine", "ok", "first"],
    ["starts", "skipped", "not reached"],
    ["health", "ok", "fine"],
  ]);
});

test.each<[ErrorCode, string | undefined, string | undefined, string]>([
  ["COMMAND_NOT_FOUND", "describe", undefined, "command"],
  ["INVALID_ARGUMENT", "describe", "cwd", "folder"],
  ["INVALID_ARGUMENT", "describe", "the plugin's info.provides[0].version", "declaration"],
  ["PLUGIN_CRASHED", "health", undefined, "stays"],
  ["STEP_TIMEOUT", "describe", undefined, "answers"],
  ["STEP_TIMEOUT", "identify", undefined, "identity"],
  ["PLUGIN_UNREACHABLE", "health", undefined, "health"],
  ["NOT_DECLARED", "describe", undefined, "calls"],
])("%s in step %s, field %s, is about the step %s", (code, step, field, expected) => {
  const options = { ...(step !== undefined && { step }), ...(field !== undefined && { field }) };
  const found = stepOf(new PluginHostError(code, "", options));
  expect(found).toBe(expected);
  expect(programSteps).toHaveProperty(found);
});

test.each([
  { seen: "ECONNREFUSED", step: "listens", advice: /Start the program/, why: "nobody is there" },
  { seen: "ECONNRESET", step: "answers", advice: /why it ends each connection/, why: "somebody is there" },
])("a connection that fails with $seen is about the step $step: $why", ({ seen, step, advice }) => {
  const cause = new Error("unavailable", { cause: Object.assign(new Error(`read ${seen}`), { code: seen }) });
  const error = new PluginHostError("PLUGIN_UNREACHABLE", `GetPluginInfo failed: ${seen}`, { step: "describe", cause });
  const found = stepOf(error);
  expect(found).toBe(step);
  expect(failure(error, found)).toMatchObject({ status: "fail", hint: expect.stringMatching(advice) });
});

test("what others wrote cannot move the cursor, and long words are cut at the width", () => {
  const result: StepResult = { step: "output", title: "output", status: "ok", seen: "a\u001b[2Jb" };
  expect(stepText(result, plain)).toBe("  ok    output          a\\u001b[2Jb\n");
  expect(wrap("ab cde fghijk", 4)).toEqual(["ab", "cde", "fghi", "jk"]);
});

test("a conclusion shows the last lines of a program, no more than eight of them", () => {
  const output = Array.from({ length: 12 }, (_, index) => `  line ${index}`);
  const message = ["./cache exited with code 1; it wrote last:", ...output].join("\n");
  const failed: StepResult = {
    step: "stays",
    title: "stays alive",
    status: "fail",
    seen: "",
    message,
    code: "PLUGIN_EXITED",
    hint: "Do.",
  };
  const lines = conclusionText(failed, "", 0, plain).split("\n");
  expect(lines).toContain("What is wrong: stays alive (PLUGIN_EXITED)");
  expect(lines.filter((line) => line.startsWith("    | "))).toEqual([
    "    | … (4 lines left out)",
    ...output.slice(4).map((line) => `    | ${line.trim()}`),
  ]);
  expect(lines).toContain("More: docs/reference/errors.md#plugin_exited");
});

test("a long line of a program is shown to its end, on as many lines as it needs", () => {
  const name = "the-name-that-is-wrong";
  const cause = `[cause]: PluginHostError: type must be one of the keys of \`requires\`, got "${name}"`;
  const message = `./cache exited with code 1; it wrote last:\n${cause}\n    at setup (plugin.js:1:1)`;
  const failed: StepResult = { step: "stays", title: "stays alive", status: "fail", seen: "", message };
  const lines = conclusionText(failed, "", 0, plain).split("\n");
  expect(lines.filter((line) => line.startsWith("    | "))).toEqual([
    "    | [cause]: PluginHostError: type must be one of the keys of `requires`,",
    `    |   got "${name}"`,
    "    | at setup (plugin.js:1:1)",
  ]);
  expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80);
});

test("a line of a program that is longer than anybody reads is cut, and says so", () => {
  const message = `./cache exited with code 1; it wrote last:\n${"words ".repeat(1_000)}`;
  const failed: StepResult = { step: "stays", title: "stays alive", status: "fail", seen: "", message };
  const shown = conclusionText(failed, "", 0, plain)
    .split("\n")
    .filter((line) => line.startsWith("    | "));
  expect(shown).toHaveLength(9);
  expect(shown.at(-1)).toBe("    |   …");
});

test("the beginning of a program's output is long enough for a path with what is behind it", () => {
  const first = `file://${"/folder".repeat(12)}/main.js:12`;
  const finding = outputFinding({ lines: 2, chars: 120, cutLines: 0, firstLines: [first] } as unknown as StartWatch);
  expect(finding.seen).toBe(`2 lines, 120 characters; begins with: ${first}`);
});
