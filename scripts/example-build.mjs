// Compiles src/ and examples/ to a folder in .cache/ that is a package of the same name, so that programs in it can import
// `connect-plugin-host` as anyone's programs do. A build is found again by the hash of what it was made from.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const cache = join(root, ".cache", "examples");
// Modules that tests run in worker threads, and what they import.
const ofTests = ["test/support/worker-plugins", "test/support/gen"];
const staleAfterMs = 24 * 3_600_000;

const sourceFiles = () =>
  ["src", "examples", ...ofTests]
    .flatMap((folder) => readdirSync(join(root, folder), { recursive: true }).map((name) => join(folder, name)))
    .filter((name) => /\.[jt]s$/.test(name))
    .concat("package.json", "tsconfig.json", "scripts/example-build.mjs")
    .sort();

const hashOf = (files) => {
  const hash = createHash("sha256");
  for (const file of files)
    hash
      .update(`${file}\0`)
      .update(readFileSync(join(root, file)))
      .update("\0");
  return hash.digest("hex").slice(0, 16);
};

const writeJson = (path, value) => writeFileSync(path, `${JSON.stringify(value, null, 2)}\n`);

const build = (folder, files) => {
  const { name, version, type, dependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const exports = {
    ".": "./src/index.js",
    "./plugin": "./src/plugin/index.js",
    "./interceptors": "./src/plugin/interceptors/index.js",
    "./testing": "./src/testing/index.js",
  };
  writeJson(join(folder, "package.json"), { name, version, type, private: true, exports, dependencies });
  writeJson(join(folder, "tsconfig.json"), {
    extends: join(root, "tsconfig.json"),
    compilerOptions: { noEmit: false, noCheck: true, sourceMap: true, rootDir: root, outDir: folder },
    include: ["src", "examples", ...ofTests].map((name) => join(root, name)),
  });
  const typescriptFolder = dirname(createRequire(import.meta.url).resolve("typescript/package.json"));
  const compile = [join(typescriptFolder, "bin", "tsc"), "-p", join(folder, "tsconfig.json")];
  const { status, error, stdout } = spawnSync(process.execPath, compile, { cwd: root, encoding: "utf8" });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`the examples do not compile:\n${stdout}`);
  for (const file of files) {
    if (file.startsWith("examples") && file.endsWith(".js")) cpSync(join(root, file), join(folder, file));
  }
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"), "junction");
};

const removeStale = () => {
  for (const name of readdirSync(cache)) {
    const folder = join(cache, name);
    const { mtimeMs } = statSync(folder, { throwIfNoEntry: false }) ?? { mtimeMs: Date.now() };
    if (Date.now() - mtimeMs > staleAfterMs) rmSync(folder, { recursive: true, force: true });
  }
};

/** Returns the folder of the build: `src/` and `examples/` as JavaScript, and a `package.json`. Takes a second the first time. */
export const buildExamples = () => {
  mkdirSync(cache, { recursive: true });
  for (;;) {
    const files = sourceFiles();
    const hash = hashOf(files);
    const folder = join(cache, hash);
    if (existsSync(folder)) {
      utimesSync(folder, new Date(), new Date());
      return folder;
    }
    removeStale();
    const unfinished = mkdtempSync(join(cache, "unfinished-"));
    try {
      build(unfinished, files);
      // Somebody may be at work on the sources just now; then this is not the build of what was hashed.
      if (hashOf(sourceFiles()) !== hash) continue;
      renameSync(unfinished, folder);
      return folder;
    } catch (error) {
      // Another process may build the same at the same time; whoever is first wins, and nobody sees half a build.
      if (!existsSync(folder)) throw error;
    } finally {
      rmSync(unfinished, { recursive: true, force: true });
    }
  }
};
