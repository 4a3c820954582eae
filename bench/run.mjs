// Runs the benchmarks against what is in dist/:
//
//   npm run bench -- [scenario …] [--rounds=3] [--seconds=3] [--gib=1]
//
// Prints a table of ratios and writes bench/results/latest.json. See README.md beside this file.
import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus } from "node:os";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { cores, isInstalled } from "./lib/processes.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const packages = { wrk: "wrk", h2load: "nghttp2-client", nginx: "nginx", haproxy: "haproxy", taskset: "util-linux" };
const numberOf = (name, fallback) =>
  Number(process.argv.find((arg) => arg.startsWith(`--${name}=`))?.slice(name.length + 3) ?? fallback);

/** What this machine is, as far as it matters to the figures. */
function machine() {
  let commit = "unknown";
  try {
    const git = (...args) =>
      execFileSync("git", args, { cwd: here, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
    commit =
      git("rev-parse", "--short", "HEAD") + (git("status", "--porcelain", "--", "../src") === "" ? "" : "+changes");
  } catch {
    // An unpacked archive has no history.
  }
  return { cpu: cpus()[0]?.model ?? "unknown", cores: availableParallelism(), node: process.version, commit };
}

async function scenarios() {
  const wanted = process.argv.slice(2).filter((arg) => !arg.startsWith("--"));
  const names = readdirSync(join(here, "scenarios"))
    .map((file) => basename(file, ".mjs"))
    .filter((name) => wanted.length === 0 || wanted.includes(name));
  const unknown = wanted.filter((name) => !names.includes(name));
  if (unknown.length > 0) throw new Error(`there is no scenario ${unknown.join(", ")}`);
  return Promise.all(names.map(async (name) => ({ name, ...(await import(`./scenarios/${name}.mjs`)) })));
}

/** A process for each scenario, so that none measures what another has left in the heap. */
function runScenario(name, options) {
  const command = [process.execPath, join(here, "lib/run-scenario.mjs"), name, JSON.stringify(options)];
  const stdio = ["inherit", "inherit", "inherit", "ipc"];
  const child = spawn("taskset", ["-c", String(cores.load), ...command], { stdio });
  return new Promise((resolve, reject) => {
    child.once("message", resolve);
    child.once("close", (code) => reject(new Error(`${name} ended with ${code} without a result`)));
  });
}

const figure = (value) =>
  value >= 1_000 ? Math.round(value).toLocaleString("en") : value >= 10 ? value.toFixed(1) : value.toPrecision(3);

function printResult({ title, unit, values, ratios }) {
  console.log(`\n${title}`);
  for (const [name, { median }] of Object.entries(values)) {
    console.log(`  ${name.padEnd(44)} ${figure(median).padStart(10)} ${unit}`);
  }
  for (const { name, ratio, atLeast, atMost } of ratios) {
    const bound = atLeast === undefined ? atMost : atLeast;
    const met = bound === undefined ? "" : (atLeast === undefined ? ratio <= bound : ratio >= bound) ? "met" : "MISSED";
    const limit = bound === undefined ? "" : `${atLeast === undefined ? "at most" : "at least"} ${bound}`;
    console.log(`  ${name.padEnd(44)} ${ratio.toFixed(2).padStart(10)}    ${limit.padEnd(14)} ${met}`);
  }
}

if (!existsSync(join(here, "../dist/index.js"))) {
  console.error("dist/ is missing; run `npm run build` first");
  process.exitCode = 1;
} else if (availableParallelism() < 2) {
  console.error("two cores are needed: one for what is measured, one for what calls it");
  process.exitCode = 1;
} else {
  const list = await scenarios();
  const missing = [...new Set(["taskset", ...list.flatMap(({ tools }) => tools)])].filter((tool) => !isInstalled(tool));
  if (missing.length > 0) {
    console.error(
      `missing: ${missing.join(", ")}; on Debian: apt-get install ${missing.map((tool) => packages[tool]).join(" ")}`,
    );
    console.error("Scenarios that need them are left out.");
  }
  const options = { rounds: numberOf("rounds", 3), seconds: numberOf("seconds", 3), gib: numberOf("gib", 1) };
  const results = [];
  for (const { name, title, tools } of list) {
    if (missing.includes("taskset") || tools.some((tool) => missing.includes(tool))) continue;
    try {
      const result = { name, title, ...(await runScenario(name, options)) };
      results.push(result);
      printResult(result);
    } catch (error) {
      console.error(`\n${title}\n  ${error.message}`);
      process.exitCode = 1;
    }
  }
  mkdirSync(join(here, "results"), { recursive: true });
  const file = join(here, "results/latest.json");
  writeFileSync(
    file,
    `${JSON.stringify({ date: new Date().toISOString(), machine: machine(), options, results }, null, 2)}\n`,
  );
  console.log(`\n${JSON.stringify(machine())}\nwritten to ${file}`);
}
