import type { ListenTarget } from "../index.js";

/** What `--listen` and the configuration's `listen` accept. */
export const listenForm = "HOST:PORT, such as 127.0.0.1:4000 or [::1]:0 (0 for any free port), or unix:/path/to/socket";

/** Where to listen; undefined if the text is not {@link listenForm}. */
export function parseListen(text: string): ListenTarget | undefined {
  if (text.startsWith("unix:")) return text.length > 5 ? { path: text.slice(5) } : undefined;
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]+)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  return host === undefined || port > 65_535 ? undefined : { host, port };
}
