import { AdminListener, type AdminListenerParts } from "./admin-listener.js";
import { PluginHostError } from "./errors.js";
import type { ListenOptions } from "./host-server.js";
import { checkKeyPair, type KeyPair } from "./http/tls-material.js";

/** All listeners that a host has opened for its operators. */
export class AdminListeners {
  readonly #parts: () => AdminListenerParts;
  readonly #open: AdminListener[] = [];
  #isClosed = false;

  /** @param parts asked when a listener is opened */
  constructor(parts: () => AdminListenerParts) {
    this.#parts = parts;
  }

  /** Opens one more. Resolves with its URL. @throws PluginHostError `LISTEN_REFUSED`, `INVALID_ARGUMENT`, `HOST_STOPPED`; Node's error */
  async listen(target: ListenOptions): Promise<string> {
    const listener = new AdminListener(this.#parts());
    const url = await listener.listen(target);
    if (this.#isClosed) {
      await listener.close(0);
      throw new PluginHostError("HOST_STOPPED", "the host was stopped before the listener was open");
    }
    this.#open.push(listener);
    return url;
  }

  /**
   * Uses another certificate for handshakes from now on, on every listener that has one.
   *
   * @throws PluginHostError `TLS_OFF` if none has, `INVALID_ARGUMENT`; nothing has changed then
   */
  setCertificate(given: KeyPair): void {
    const keyPair = checkKeyPair("certificate", given);
    const replaced = this.#open.filter((listener) => listener.setCertificate(keyPair));
    if (replaced.length > 0) return;
    throw new PluginHostError("TLS_OFF", "there is no certificate to replace; give tls to listenAdmin");
  }

  /** Closes them all, and those that are just being opened. */
  async close(graceMs: number): Promise<void> {
    this.#isClosed = true;
    await Promise.all(this.#open.map((listener) => listener.close(graceMs)));
  }
}
