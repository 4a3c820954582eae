import type { IncomingMessage } from "node:http";

/** Who calls a service of the plugin, as the host says. */
export type ServiceCaller =
  /** Another plugin. */
  | { readonly kind: "plugin"; readonly runtimeId: string; readonly selfId: string }
  /** The program that embeds the host. */
  | { readonly kind: "host" }
  /** Somebody from outside, by a service that is exposed. `user` is the name that the host's check found; undefined without one. */
  | { readonly kind: "ingress"; readonly user: string | undefined }
  /** Not through a host: nobody says who it is. */
  | { readonly kind: "unknown" };

/** What a handler gets: the context of a Connect handler, or the request of a fetch-style or Node handler. */
export type CalledWith = { readonly requestHeader: Headers } | { readonly headers: Headers } | IncomingMessage;

/**
 * Who made a call, in every kind of handler and whichever way the call came: over HTTP, over a link or within the host's process.
 * As good as the plugin's port is closed to others than the host: whoever reaches it can claim to be anybody.
 */
export function callerOf(call: CalledWith): ServiceCaller {
  const id = fieldOf(call, "x-plugin-caller-id");
  const selfId = fieldOf(call, "x-plugin-caller-self-id");
  if (id === undefined) return { kind: "unknown" };
  // No plugin is without a self id, and nobody else has one.
  if (selfId !== undefined) return { kind: "plugin", runtimeId: id, selfId };
  if (id === "host") return { kind: "host" };
  if (id === "ingress") return { kind: "ingress", user: undefined };
  if (id.startsWith("ingress:")) return { kind: "ingress", user: id.slice("ingress:".length) };
  return { kind: "unknown" };
}

function fieldOf(call: CalledWith, name: string): string | undefined {
  const headers = "requestHeader" in call ? call.requestHeader : call.headers;
  const value = headers instanceof Headers ? headers.get(name) : headers[name];
  if (typeof value !== "string") return undefined;
  try {
    return decodeURIComponent(value);
  } catch {
    // The host escapes what a field cannot hold; this was written by somebody else.
    return value;
  }
}
