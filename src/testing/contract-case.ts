/** One test of a contract suite. */
export interface ContractCase<Name extends string = string> {
  readonly name: Name;
  /** What has to be true, and why it is not looked at if it is left out. */
  readonly title: string;
  /** Why the case is left out; undefined if it is not. Node's test runner takes it as it is. */
  readonly skip: string | undefined;
  /** Rejects if it is not true. Starts all it needs, and leaves nothing behind. */
  run(): Promise<void>;
}

/** Puts a case together. */
export const contractCase = <Name extends string>(
  name: Name,
  skip: string | undefined,
  run: () => Promise<void>,
): ContractCase<Name> => ({ name, title: skip === undefined ? name : `${name} (left out: ${skip})`, skip, run });
