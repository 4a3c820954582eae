/** What the command ends with. Documented in docs/reference/cli.md; the numbers do not change. */
export const exitCodes = Object.freeze({
  ok: 0,
  /** Anything that has no code of its own. */
  failed: 1,
  /** Arguments, options or the configuration file are not usable. */
  usage: 2,
  /** No host answers there, it has no admin service, or it went away. */
  unreachable: 3,
  /** There is no such plugin, service or program. */
  notFound: 4,
  /** The host did not accept the admin token. */
  refused: 5,
  /** The host understood, and its state or the plugin does not allow it. */
  precondition: 6,
  /** It took longer than it was allowed to. */
  timedOut: 7,
  /** A second SIGINT: 128 and the signal's number. */
  interrupted: 130,
  /** A second SIGTERM: 128 and the signal's number. */
  terminated: 143,
});

/** One of {@link exitCodes}. */
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];
