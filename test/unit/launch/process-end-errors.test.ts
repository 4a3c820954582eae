import { expect, test } from "vitest";
import { findCrash } from "../../../src/launch/process-crash.js";
import { exitError, notListeningError } from "../../../src/launch/process-errors.js";

const ended = (exitCode: number | undefined, lastLines: readonly string[] = [], signal?: string) =>
  exitError("./cache", { pid: 4711, exit: { exitCode, signal }, lastLines });

test.each([
  { exitCode: 0, lines: ["done"], code: "PLUGIN_EXITED", why: "it was of the opinion that its work is done" },
  { exitCode: 1, lines: ["no database"], code: "PLUGIN_EXITED", why: "it gave up by itself" },
  { exitCode: 127, lines: [], code: "PLUGIN_EXITED", why: "a shell did not find what it should run" },
  { exitCode: 2, lines: ["panic: nil map", "goroutine 1 [running]:"], code: "PLUGIN_CRASHED", why: "Go" },
  {
    exitCode: 2,
    lines: ["goroutine 7 [select]:", "main.go:7"],
    code: "PLUGIN_CRASHED",
    why: "Go, its first line lost",
  },
  { exitCode: 101, lines: ["thread 'main' panicked at src/main.rs:2:5:"], code: "PLUGIN_CRASHED", why: "Rust" },
  { exitCode: 1, lines: ["Error: oops", "Node.js v20.20.2"], code: "PLUGIN_CRASHED", why: "JavaScript" },
  { exitCode: 1, lines: ["Traceback (most recent call last):"], code: "PLUGIN_CRASHED", why: "Python" },
  { exitCode: 139, lines: [], code: "PLUGIN_CRASHED", why: "a shell tells what ended its child" },
  { exitCode: 0, lines: ["panic: was handled"], code: "PLUGIN_EXITED", why: "0 is no crash, whatever it wrote" },
  { exitCode: 1, lines: ["listen EADDRINUSE: address already in use"], code: "PORT_IN_USE", why: "it wants a port" },
  { exitCode: 98, lines: ["OSError: [Errno 98] Address already in use"], code: "PORT_IN_USE", why: "before a trace" },
])("exit code $exitCode and $lines is $code ($why)", ({ exitCode, lines, code }) => {
  expect(ended(exitCode, lines)).toMatchObject({ code, details: { pid: 4711, exitCode, output: lines } });
});

test("a signal is a crash, with what it means", () => {
  expect(ended(undefined, [], "SIGSEGV")).toMatchObject({ code: "PLUGIN_CRASHED", details: { signal: "SIGSEGV" } });
  expect(ended(undefined, [], "SIGKILL").message).toMatch(/SIGKILL: somebody killed it, perhaps .* lack of memory/);
  expect(findCrash({ exitCode: undefined, signal: "SIGUSR2" }, [])).toBe("somebody sent it that signal");
});

test("what a program says that it lacks comes with what to do about it", () => {
  expect(ended(127, ["x: error while loading shared libraries: libz.so.1"]).message).toContain("install the library");
  const error = ended(1, ["Error: Cannot find module 'redis'", "Node.js v20.20.2"]);
  expect(error.code).toBe("PLUGIN_EXITED");
  expect(error.message).toContain("install its packages");
});

test("a program that listens elsewhere is told where, and where it should", () => {
  const error = notListeningError(
    "./cache",
    { pid: 4711 },
    { port: 4001, elsewhere: ["[::]:3000"], cause: new Error("late") },
  );
  expect(error).toMatchObject({ code: "PLUGIN_NOT_LISTENING", details: { port: 4001, elsewhere: ["[::]:3000"] } });
  expect(error.message).toMatch(
    /^\.\/cache runs as process 4711 and listens on \[::\]:3000; it must listen on http:\/\/127\.0\.0\.1:4001/,
  );
});
