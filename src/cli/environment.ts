/** One stream that a command writes to. */
export interface CliOutput {
  write(text: string): void;
  /** Whether a person looks at it. */
  readonly isTerminal: boolean;
  /** Aborted when nobody reads it any more, as in `… | head -1`. */
  readonly closed: AbortSignal;
}

/** A signal that ends a program. */
export type EndSignal = "SIGTERM" | "SIGINT";

/** Everything that commands know of the process they run in. */
export interface CliEnvironment {
  readonly variables: Readonly<Record<string, string | undefined>>;
  readonly workingDirectory: string;
  readonly stdout: CliOutput;
  readonly stderr: CliOutput;
  /** Milliseconds since 1970. */
  now(): number;
  /** From now on these signals go to the listener instead of ending the process. Returns what undoes it. */
  onSignal(listener: (signal: EndSignal) => void): () => void;
  /** From now on SIGHUP goes to the listener instead of ending the process. Returns what undoes it. */
  onReload(listener: () => void): () => void;
}

/** Resolves with the first signal. The listener stays until `off` is called. */
export function firstSignal(environment: CliEnvironment): { readonly signal: Promise<EndSignal>; off(): void } {
  let off = (): void => {};
  const signal = new Promise<EndSignal>((resolve) => {
    off = environment.onSignal(resolve);
  });
  return { signal, off };
}
