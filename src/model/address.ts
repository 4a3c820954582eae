import type { Duplex } from "node:stream";
import type { ConnectionOptions } from "node:tls";
import type { InProcessServices } from "./in-process-services.js";

/** A protocol that a provider speaks on its address. */
export type WireProtocol = "h1" | "h2c" | "h2";

/** How TLS towards a provider is done. What it says may change: connections from then on go by it. */
export interface ProviderTls {
  /** For `tls.connect`; another object after each change. */
  readonly connection: ConnectionOptions;
}

/** Where a plugin is reached. */
export type PluginAddress =
  /** Over TCP. `url` has no trailing slash; it may have a path, which goes in front of every path. */
  | {
      readonly kind: "http";
      readonly url: string;
      readonly protocols: readonly WireProtocol[] | undefined;
      /** For `https:` only. @default what holds for all providers */
      readonly tls?: ProviderTls;
    }
  /** Over a Unix socket. */
  | { readonly kind: "unix"; readonly path: string; readonly protocols: readonly WireProtocol[] | undefined }
  /** In the host's process: `connect` opens a connection in memory to the plugin's own server. */
  | {
      readonly kind: "module";
      readonly id: string;
      readonly connect: () => Duplex;
      /** What callers in the same process reach without a connection. @default nothing */
      readonly services?: InProcessServices | undefined;
    }
  /** Over the link that the plugin has dialled, and nowhere else. Not `isOpen` until it has dialled again. */
  | { readonly kind: "link"; readonly isOpen: boolean }
  /** Over the link of a launch, which is nobody's yet: once the plugin has an identity its address is of kind `link`. */
  | { readonly kind: "worker"; readonly launchId: string }
  /** Known by name only: listed and discovered, never routed. */
  | { readonly kind: "external" };

/** One text per address, equal exactly if two addresses lead to the same program. */
export function addressKey(address: PluginAddress): string | undefined {
  switch (address.kind) {
    case "http": {
      const { protocol, hostname, port, pathname } = new URL(address.url);
      // The same program answers under all three names of the loopback interface.
      const host = ["localhost", "[::1]"].includes(hostname) ? "127.0.0.1" : hostname;
      return `${protocol}//${host}:${port || (protocol === "https:" ? "443" : "80")}${pathname.replace(/\/+$/, "")}`;
    }
    case "unix":
      return `unix:${address.path}`;
    case "module":
      return `module:${address.id}`;
    case "link":
    case "worker":
    case "external":
      return undefined;
  }
}
