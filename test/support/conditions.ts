/** Waits for conditions that may come true with each thing that happens. */
export interface Conditions {
  /** Something has happened: looks again at every condition that is waited for. */
  readonly look: () => void;
  /** Resolves when the condition holds, looked at now and with each `look`. Its deadline is the test's. */
  readonly until: (condition: () => boolean) => Promise<void>;
}

/** Nothing is waited for yet. */
export function conditions(): Conditions {
  const waiting = new Set<() => void>();
  return {
    look: () => {
      for (const check of [...waiting]) check();
    },
    until: (condition) =>
      new Promise((resolve) => {
        const check = (): void => {
          if (!condition()) return;
          waiting.delete(check);
          resolve();
        };
        waiting.add(check);
        check();
      }),
  };
}
