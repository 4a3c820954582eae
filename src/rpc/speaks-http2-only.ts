import type { Duplex } from "node:stream";
import type { TLSSocket } from "node:tls";
import type { PluginAddress, ProviderTls } from "../model/address.js";
import { dial } from "../router/dial.js";
import { dialFailure } from "../router/dial-failure.js";
import { type TargetAddress, targetAddress } from "../router/target-address.js";

/**
 * Asks a server over TLS, by ALPN and nothing else, whether HTTP/2 is all that it speaks. Rejects with the error of the
 * connection, or the reason of the signal.
 */
export async function speaksHttp2Only(
  address: PluginAddress,
  tls: ProviderTls | undefined,
  signal: AbortSignal,
): Promise<boolean> {
  const target = targetAddress(address, tls) as TargetAddress;
  let agreed: string | false;
  try {
    agreed = await agree(target, "http/1.1", signal);
  } catch (error) {
    if (dialFailure(error as Error).kind === "speaks-http2") return true;
    throw error;
  }
  // Servers written in Go agree on nothing where others end the handshake, and so do those that do not know ALPN.
  return agreed === false && (await agree(target, "h2", signal).catch(() => false)) === "h2";
}

function agree(target: TargetAddress, protocol: string, signal: AbortSignal): Promise<string | false> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const socket: Duplex = dial(target, [protocol]);
    const end = (settle: () => void): void => {
      signal.removeEventListener("abort", onAbort);
      socket.destroy();
      settle();
    };
    const onAbort = (): void => end(() => reject(signal.reason));
    signal.addEventListener("abort", onAbort, { once: true });
    socket.once("secureConnect", () => end(() => resolve((socket as TLSSocket).alpnProtocol ?? false)));
    socket.on("error", (error) => end(() => reject(error)));
  });
}
