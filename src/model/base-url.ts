import { invalid } from "../errors.js";
import type { PluginAddress, WireProtocol } from "./address.js";
import { shown } from "./limits.js";

const knownProtocols: readonly string[] = ["h1", "h2c", "h2"] satisfies readonly WireProtocol[];

/** Reads metadata `protocols` such as `h1,h2c`. Undefined if absent: it is found out then. */
function parseProtocols(field: string, text: string | undefined): readonly WireProtocol[] | undefined {
  if (text === undefined || text.trim() === "") return undefined;
  const protocols = text.split(",").map((part) => part.trim());
  for (const protocol of protocols) {
    if (!knownProtocols.includes(protocol)) {
      throw invalid(field, `must be a list of ${knownProtocols.join(", ")}, got ${shown(text)}`);
    }
  }
  return protocols as WireProtocol[];
}

/**
 * Reads where a plugin listens: `http://host:port`, `https://host:port` (a path is allowed, a query is not) or
 * `unix:/absolute/path`.
 *
 * @throws PluginHostError `INVALID_ARGUMENT` that names `field`
 */
export function parseBaseUrl(field: string, text: string, protocols?: string): PluginAddress {
  const spoken = parseProtocols("metadata.protocols", protocols);
  if (text.startsWith("unix:")) {
    const path = text.slice("unix:".length).replace(/^\/\/(?=\/)/, "");
    // 107 bytes is what Linux lets a socket's path have.
    if (!path.startsWith("/") || path.includes("\0") || Buffer.byteLength(path) > 107) {
      throw invalid(field, `must be "unix:" and an absolute path of at most 107 bytes, got ${shown(text)}`);
    }
    return { kind: "unix", path, protocols: spoken };
  }
  let url: URL;
  try {
    url = new URL(text);
  } catch (cause) {
    throw invalid(
      field,
      `must be a URL such as "http://127.0.0.1:4001" or "unix:/run/x.sock", got ${shown(text)}`,
      cause,
    );
  }
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    throw invalid(field, `must begin with http:, https: or unix:, got ${shown(text)}`);
  }
  if (url.username !== "" || url.password !== "" || url.search !== "" || url.hash !== "") {
    throw invalid(field, `must have neither user, query nor fragment, got ${shown(text)}`);
  }
  return { kind: "http", url: `${url.origin}${url.pathname.replace(/\/+$/, "")}`, protocols: spoken };
}
