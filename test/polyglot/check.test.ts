import { expect, test } from "vitest";
import { type CheckOutput, failures, skipped } from "../support/check.js";
import { runHere } from "../support/cli.js";
import { goPlugin, pythonPlugin, rustPlugin } from "./program.js";

/** Clauses that a plugin may leave out, with what it is then. */
const binary = ["W-1.5", "W-5.6"]; // speaks JSON only
const thisMachine = ["W-11.6"]; // has no address beyond loopback

test.each([
  { language: "Go, with connect-go", command: () => [goPlugin("library-plugin")], mayLack: [] },
  { language: "Python's standard library", command: () => ["python3", pythonPlugin], mayLack: binary },
  { language: "Rust's standard library", command: () => [rustPlugin()], mayLack: binary },
])(
  "a plugin in $language keeps every clause of the wire reference",
  async ({ command, mayLack }) => {
    const { PATH = "", HOME = "" } = process.env;
    const { exitCode, stdout, stderr } = await runHere(["check", "--json", ...command()], {
      variables: { PATH, HOME },
      workingDirectory: import.meta.dirname,
    });
    expect(stderr).toBe("");
    const { results } = JSON.parse(stdout) as CheckOutput;
    expect(failures(results)).toEqual([]);
    expect(exitCode).toBe(0);
    expect(skipped(results).filter((clause) => ![...mayLack, ...thisMachine, "W-2.1"].includes(clause))).toEqual([]);
  },
  60_000,
);
