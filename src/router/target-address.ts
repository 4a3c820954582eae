import type { Duplex } from "node:stream";
import type { PluginAddress, ProviderTls, WireProtocol } from "../model/address.js";

/** An address in the form that connections need. Made once per address. */
export interface TargetAddress {
  /** For `Host` and `:authority`. */
  readonly authority: string;
  /** The path in front of every path, without a slash at its end. */
  readonly basePath: string;
  readonly secure: boolean;
  /** What TLS towards it needs beyond Node's defaults: authorities, this side's certificate, the name to ask for. */
  readonly tls: ProviderTls | undefined;
  readonly host: string;
  readonly port: number;
  /** Set for Unix sockets. */
  readonly socketPath: string | undefined;
  /** Set for plugins in the host's own process. */
  readonly connect: (() => Duplex) | undefined;
  /** What the address is declared to speak; undefined if nobody said. */
  readonly protocols: readonly WireProtocol[] | undefined;
}

const local = {
  authority: "localhost",
  basePath: "",
  secure: false,
  tls: undefined,
  host: "localhost",
  port: 80,
} as const;

/** Reads an address; undefined for one that cannot be called. `tls` is for addresses in `https:` that name none of their own. */
export function targetAddress(address: PluginAddress, tls?: ProviderTls): TargetAddress | undefined {
  switch (address.kind) {
    case "http": {
      const url = new URL(address.url);
      const secure = url.protocol === "https:";
      return {
        authority: url.host,
        basePath: url.pathname.replace(/\/+$/, ""),
        secure,
        tls: secure ? (address.tls ?? tls) : undefined,
        // Sockets want IPv6 addresses without the brackets of URLs.
        host: url.hostname.replace(/^\[|\]$/g, ""),
        port: url.port === "" ? (secure ? 443 : 80) : Number(url.port),
        socketPath: undefined,
        connect: undefined,
        protocols: address.protocols,
      };
    }
    case "unix":
      return { ...local, socketPath: address.path, connect: undefined, protocols: address.protocols };
    case "module":
      // Connections in memory carry HTTP/1.1, which there is good for everything: see `OnePortServer.accept`.
      return { ...local, socketPath: undefined, connect: address.connect, protocols: ["h1"] };
    case "link":
    case "worker":
    case "external":
      return undefined;
  }
}
