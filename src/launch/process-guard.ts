import type { Duplex } from "node:stream";

/** Number of the guard's descriptor in the shell that starts the program. */
export const guardDescriptor = 3;

/**
 * What the shell does that becomes the program. It gets the program and its arguments as "$@".
 *
 * The guard is a shell in the program's process group that reads signal names from a pipe whose other end only the host
 * has, and sends them to the group that it is in: this can never hit another group, also when the program's own id is
 * long in use again. When the host is gone, however it ended, the pipe is at its end, and the guard kills the group.
 *
 * Line by line: two subshells, so that the guard is not a child of the program, which may wait for all of its children.
 * It ignores what it sends to the group itself, short of KILL. It holds neither the program's output nor its folder.
 * `exec` puts the program in the shell's place, with the shell's id and without the guard's pipe. Shells add a few
 * variables to their environment; those that the program was not given are taken out again.
 */
export function guardScript(onHostExit: "stop" | "keep", environment: Readonly<Record<string, string>>): string {
  const unwanted = ["PWD", "OLDPWD", "SHLVL"].filter((name) => !(name in environment));
  return [
    "( (",
    "cd /",
    "trap '' HUP INT QUIT TERM USR1 USR2 ALRM TSTP TTIN TTOU",
    'while read -r name; do kill -s "$name" 0; done',
    onHostExit === "stop" ? "kill -s KILL 0" : ":",
    `) <&${guardDescriptor} ${guardDescriptor}<&- >/dev/null 2>&1 & )`,
    `unset ${unwanted.join(" ")}`,
    `exec ${guardDescriptor}<&-`,
    'exec "$@"',
  ].join("\n");
}

/** The host's end of the pipe to a guard. */
export class ProcessGuard {
  readonly #pipe: Duplex;
  #isAlive = true;
  /** Resolves when the guard is gone. */
  readonly gone: Promise<void>;

  constructor(pipe: Duplex) {
    this.#pipe = pipe;
    this.gone = new Promise((resolve) => {
      const onGone = (): void => {
        this.#isAlive = false;
        resolve();
      };
      pipe.once("end", onGone).once("close", onGone);
    });
    // A write that comes too late for the guard; that it is gone is seen by the end of the pipe.
    pipe.on("error", () => {});
    pipe.resume();
  }

  get isAlive(): boolean {
    return this.#isAlive;
  }

  /** Sends a signal to the whole group, which includes the guard. */
  signal(name: "TERM" | "KILL"): void {
    if (this.#isAlive && this.#pipe.writable) this.#pipe.write(`${name}\n`);
  }
}
