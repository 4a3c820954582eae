import { expect, test } from "vitest";
import {
  type DeclarationOptions,
  readDeclaration,
  readSource,
  type SourceOptions,
} from "../../../src/cli/plugin-options.js";

const here = { kind: "url", url: "http://127.0.0.1:1" } as const;
const away = { kind: "url", url: "http://host.example.org" } as const;

interface Case {
  readonly url?: string;
  readonly options?: SourceOptions;
  readonly program?: readonly string[];
  readonly address?: typeof here | typeof away;
}
const read = ({ url, options = {}, program, address = here }: Case) =>
  readSource(url, options, { program, address, workingDirectory: "/srv" }).source;

test.each<Case & { source: object; why: string }>([
  { url: "http://h:1", source: { case: "endpoint", value: { url: "http://h:1" } }, why: "an endpoint" },
  {
    options: { module: "./a.mjs" },
    source: { case: "module", value: { specifier: "/srv/a.mjs" } },
    why: "paths are seen from here",
  },
  {
    options: { module: "./a.mjs" },
    address: away,
    source: { case: "module", value: { specifier: "./a.mjs" } },
    why: "paths of another machine are its own",
  },
  {
    options: { worker: "./a.mjs" },
    source: { case: "module", value: { specifier: "/srv/a.mjs", worker: true } },
    why: "a worker thread's module",
  },
  { options: { module: "pkg" }, source: { case: "module", value: { specifier: "pkg" } }, why: "a package" },
  {
    program: ["node", "a.mjs", "--json"],
    options: { env: ["A=b=c", "D="], cwd: "sub" },
    source: {
      case: "process",
      value: { command: ["node", "a.mjs", "--json"], env: { A: "b=c", D: "" }, cwd: "/srv/sub" },
    },
    why: "a program with everything",
  },
  { program: ["x"], source: { case: "process", value: { command: ["x"], env: {}, cwd: "/srv" } }, why: "a program" },
  {
    program: ["x"],
    address: away,
    source: { case: "process", value: { command: ["x"], env: {}, cwd: "" } },
    why: "another machine's folder is its own",
  },
])("reads a source: $why", ({ source, why: _, ...given }) => {
  expect(read(given)).toEqual(source);
});

test.each<Case & { message: RegExp }>([
  { message: /nothing says where/ },
  { url: "http://h:1", options: { module: "a" }, message: /one place/ },
  { url: "http://h:1", program: ["x"], message: /one place/ },
  { options: { module: "a", worker: "a" }, message: /one place/ },
  { program: [], message: /no command behind --/ },
  { url: "http://h:1", options: { env: ["A=b"] }, message: /--env and --cwd belong/ },
  { program: ["x"], options: { env: ["A"] }, message: /--env must be NAME=VALUE, got "A"/ },
  { program: ["x"], options: { env: ["=b"] }, message: /--env must be/ },
])("refuses a source: $message", ({ message, ...given }) => {
  expect(() => read(given)).toThrow(message);
});

test("a declaration says what it provides and requires", () => {
  const options: DeclarationOptions = {
    selfId: "cache",
    selfVersion: "1.0.0",
    provides: ["cache@1.2.0", "stats@1.0.0=/stats", "bare"],
    requires: ["logger@^1.0.0", "clock"],
    optional: ["metrics@>=2 <3"],
  };
  expect(readDeclaration(options)).toEqual({
    selfId: "cache",
    selfVersion: "1.0.0",
    provides: [
      { type: "cache", version: "1.2.0", path: "" },
      { type: "stats", version: "1.0.0", path: "/stats" },
      { type: "bare", version: "", path: "" },
    ],
    requires: [
      { type: "logger", minVersion: "^1.0.0", requiredForStartup: true },
      { type: "clock", minVersion: "", requiredForStartup: true },
      { type: "metrics", minVersion: ">=2 <3", requiredForStartup: false },
    ],
  });
});

test("nothing said is no declaration, and half of one is refused", () => {
  expect(readDeclaration({})).toBeUndefined();
  expect(() => readDeclaration({ provides: ["a@1.0.0"] })).toThrow(/--self-id/);
});
