import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const here = dirname(fileURLToPath(import.meta.url));
const root = resolve(here, "../..");

let folder: string;
let tarball: string;
let packedFiles: readonly string[];

/** Runs a program; if it fails, the error shows what it printed. */
async function run(cwd: string, program: string, ...args: readonly string[]): Promise<string> {
  try {
    const { stdout } = await promisify(execFile)(program, [...args], { cwd, env: { ...process.env, NO_COLOR: "1" } });
    return stdout;
  } catch (cause) {
    const { stdout = "", stderr = "" } = cause as { stdout?: string; stderr?: string };
    throw new Error(`${basename(program)} ${args.join(" ")} failed:\n${stdout}${stderr}`, { cause });
  }
}

const tool = (name: string) => join(root, "node_modules", ".bin", name);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "package-test-"));
  await run(root, "npm", "run", "build");
  const packed = await run(root, "npm", "pack", "--json", "--ignore-scripts", "--pack-destination", folder);
  const [{ filename, files }] = JSON.parse(packed);
  tarball = join(folder, filename);
  packedFiles = files.map(({ path }: { path: string }) => path);

  await cp(join(here, "fixtures"), folder, { recursive: true });
  await cp(join(root, "examples/gen/logger"), join(folder, "typescript/gen/logger"), { recursive: true });
  await writeFile(join(folder, "package.json"), JSON.stringify({ name: "consumer", private: true, type: "module" }));
  const nodeTypes = JSON.parse(await readFile(join(root, "node_modules/@types/node/package.json"), "utf8")).version;
  const quiet = ["--no-audit", "--no-fund", "--prefer-offline"];
  await run(folder, "npm", "install", ...quiet, tarball, `@types/node@${nodeTypes}`);
});

afterAll(() => rm(folder, { recursive: true, force: true }));

describe("the packed package", () => {
  test("holds the build with its types, maps and sources, the protocol, the guides and the legal texts, and nothing else", () => {
    const unexpected = packedFiles.filter(
      (file) =>
        !/^(dist\/.+\.(js|js\.map|d\.ts|d\.ts\.map)|src\/.+\.ts|proto\/.+\.proto|docs\/.+\.(md|json))$/.test(file) &&
        !["package.json", "README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"].includes(file),
    );
    expect(unexpected).toEqual([]);
    expect(packedFiles).toEqual(
      expect.arrayContaining([
        "LICENSE",
        "README.md",
        "CHANGELOG.md",
        "dist/index.js",
        "dist/index.d.ts",
        "dist/plugin/index.js",
        "dist/plugin/index.d.ts",
        "dist/testing/index.js",
        "dist/testing/index.d.ts",
        "proto/connectplugin/v1/handshake.proto",
        // The command's messages and the README lead there.
        "docs/reference/errors.md",
        "docs/reference/cli.md",
        "docs/getting-started.md",
      ]),
    );
  });

  test("leads from its documents only to what is in it", async () => {
    const documents = packedFiles.filter((file) => file.endsWith(".md"));
    const broken: string[] = [];
    for (const document of documents) {
      const text = await readFile(join(folder, "node_modules/connect-plugin-host", document), "utf8");
      for (const [, target = ""] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
        if (/^([a-z]+:|#)/.test(target)) continue;
        const [path = ""] = target.split("#");
        const file = join(dirname(document), path).replace(/\/$/, "");
        const isThere = packedFiles.some((packed) => packed === file || packed.startsWith(`${file}/`));
        if (!isThere) broken.push(`${document}: ${target}`);
      }
    }
    expect(documents.length).toBeGreaterThan(20);
    expect(broken).toEqual([]);
  });

  test("holds for every module in dist/ exactly one source in src/", () => {
    const stems = (prefix: string, suffix: string) =>
      packedFiles
        .filter((file) => file.startsWith(prefix) && file.endsWith(suffix))
        .map((file) => file.slice(prefix.length, -suffix.length))
        .sort();
    expect(stems("dist/", ".js")).toEqual(stems("src/", ".ts"));
  });

  test("runs in a plain JavaScript program", async () => {
    expect(await run(join(folder, "javascript"), process.execPath, "main.mjs")).toBe("hello world\nPLUGIN_NOT_FOUND\n");
  });

  test("brings a test kit that plain JavaScript uses with Node's own test runner", async () => {
    const report = await run(join(folder, "javascript"), process.execPath, "--test", "greeter-test.mjs");
    expect(report).toMatch(/^# pass 1$/m);
    expect(report).toMatch(/^# fail 0$/m);
  });

  test.each([
    { module: "nodenext", moduleResolution: "nodenext", why: "programs for Node" },
    { module: "esnext", moduleResolution: "bundler", why: "programs that are bundled" },
  ])(
    "compiles in a strict TypeScript project with module resolution $moduleResolution ($why), and runs",
    async ({ module, moduleResolution }) => {
      const project = join(folder, "typescript");
      const compilerOptions = {
        module,
        moduleResolution,
        target: "es2022",
        // Connect's own declarations name `HeadersInit`, which is in lib.dom and in the types of newer Node versions.
        lib: ["es2022", "dom"],
        types: ["node"],
        strict: true,
        exactOptionalPropertyTypes: true,
        noUncheckedIndexedAccess: true,
        verbatimModuleSyntax: true,
        skipLibCheck: false,
        rootDir: ".",
        outDir: moduleResolution,
      };
      const file = `tsconfig.${moduleResolution}.json`;
      await writeFile(join(project, file), JSON.stringify({ compilerOptions, files: ["main.ts", "logger-test.ts"] }));
      await run(project, tool("tsc"), "-p", file);
      await cp(join(project, "gen"), join(project, moduleResolution, "gen"), { recursive: true });
      expect(await run(project, process.execPath, join(moduleResolution, "main.js"))).toBe("true 1 PLUGIN_NOT_FOUND\n");
      await run(project, process.execPath, "--test", join(moduleResolution, "logger-test.js"));
    },
  );

  test.each(["connect-plugin-host", "cph"])("brings the command %s, which runs a host", async (name) => {
    const command = join(folder, "node_modules", ".bin", name);
    const { version } = JSON.parse(await readFile(join(root, "package.json"), "utf8"));
    expect(await run(folder, command, "--version")).toBe(`${version}\n`);
    const host = spawn(command, ["serve", "--admin-socket", "admin.sock"], {
      cwd: folder,
      stdio: ["ignore", "pipe", "ignore"],
    });
    const ended = once(host, "exit");
    try {
      const [line] = await once(host.stdout, "data");
      expect(String(line)).toMatch(/^listening on http:\/\/127\.0\.0\.1:\d+\n$/);
      expect(await run(folder, command, "plugins", "--socket", "admin.sock")).toBe("no plugins\n");
    } finally {
      host.kill("SIGTERM");
    }
    expect(await ended).toEqual([0, null]);
  });

  test("resolves to types and code in every way that TypeScript looks for ES modules (attw)", async () => {
    await run(root, tool("attw"), tarball, "--profile", "esm-only");
  });

  test("has no mistake in package.json that publint knows", async () => {
    await run(root, tool("publint"), tarball, "--strict");
  });
});
