#!/usr/bin/env node
import type { CliEnvironment, CliOutput, EndSignal } from "./environment.js";
import { runCli } from "./run-cli.js";

function outputOf(stream: NodeJS.WriteStream): CliOutput {
  const closed = new AbortController();
  // Whoever read it is gone: there is nothing left to say there, and nothing wrong with that.
  stream.on("error", () => closed.abort());
  return {
    write: (text) => {
      if (!closed.signal.aborted) stream.write(text);
    },
    isTerminal: stream.isTTY === true,
    closed: closed.signal,
  };
}

const environment: CliEnvironment = {
  variables: process.env,
  workingDirectory: process.cwd(),
  stdout: outputOf(process.stdout),
  stderr: outputOf(process.stderr),
  now: () => Date.now(),
  onSignal(listener) {
    const signals: readonly EndSignal[] = ["SIGTERM", "SIGINT"];
    const listeners = signals.map((signal) => [signal, () => listener(signal)] as const);
    for (const [signal, own] of listeners) process.on(signal, own);
    return () => {
      for (const [signal, own] of listeners) process.off(signal, own);
    };
  },
  onReload(listener) {
    process.on("SIGHUP", listener);
    return () => process.off("SIGHUP", listener);
  },
};

// A module of a plugin that forgets to wait for something must not end the host of all others.
process.on("unhandledRejection", (reason) => {
  const text = reason instanceof Error ? (reason.stack ?? reason.message) : String(reason);
  environment.stderr.write(`a promise was rejected and nobody handled it: ${text}\n`);
});

const exitCode = await runCli(process.argv.slice(2), environment);
// Timers and sockets that a module left behind do not keep a stopped host alive; what was written gets out first.
await Promise.all([process.stdout, process.stderr].map((stream) => new Promise((done) => stream.write("", done))));
process.exit(exitCode);
