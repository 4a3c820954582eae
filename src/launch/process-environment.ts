/** What a launched program is told through its environment. */
export interface LaunchedEnvironment {
  readonly port: number;
  /** Base URL of the host, with the launch's prefix. */
  readonly hostUrl: string;
  /** PEM of the authority of the host's certificate, if it is a private one. */
  readonly hostCa: string | undefined;
  /** What the host can do beyond the first protocol; undefined if that is not said. */
  readonly hostFeatures: readonly string[] | undefined;
  /** What the caller named. */
  readonly given: Readonly<Record<string, string>>;
  /** The host's own environment. */
  readonly host: Readonly<Record<string, string | undefined>>;
}

const passedOn = ["PATH", "HOME", "LANG", "TZ"] as const;

/** What of the host's own environment plugins get. */
export function scrubbedEnvironment(host: LaunchedEnvironment["host"]): Record<string, string> {
  const environment: Record<string, string> = {};
  for (const name of passedOn) {
    const value = host[name];
    if (value !== undefined) environment[name] = value;
  }
  return environment;
}

/** The whole environment of a launched program: nothing of the host's gets through but PATH, HOME, LANG and TZ. */
export function launchEnvironment(launched: LaunchedEnvironment): Record<string, string> {
  const { port, hostUrl, hostCa, hostFeatures, given, host } = launched;
  const environment = scrubbedEnvironment(host);
  // Before what the caller names, who may know of more authorities.
  if (hostCa !== undefined) environment.HOST_CA = hostCa;
  // As well before it, so that `HOST_FEATURES: ""` makes a program listen that would do without a port.
  if (hostFeatures !== undefined) environment.HOST_FEATURES = hostFeatures.join(",");
  return { ...environment, ...given, PORT: String(port), HOST_URL: hostUrl, HOSTNAME: "127.0.0.1" };
}
