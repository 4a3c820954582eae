/** `logger`, `logger@1.2.0` or `logger@1.2.0=/path`, as options name services. */
export interface ServiceReference {
  readonly type: string;
  /** What stands behind `@`; empty if nothing does. */
  readonly version: string;
  /** What stands behind the `=` before a slash; empty if nothing does. */
  readonly path: string;
}

/** Takes a reference apart. What its parts are is for the host to check. */
export function parseServiceReference(text: string): ServiceReference {
  const pathAt = text.indexOf("=/");
  const [named, path] = pathAt === -1 ? [text, ""] : [text.slice(0, pathAt), text.slice(pathAt + 1)];
  const versionAt = named.indexOf("@");
  return versionAt === -1
    ? { type: named, version: "", path }
    : { type: named.slice(0, versionAt), version: named.slice(versionAt + 1), path };
}
