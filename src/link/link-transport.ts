/** What a session hears from its transport. None of it throws. */
export interface LinkTransportEvents {
  /** The next bytes. They stay as they are: the transport does not write there again. */
  data(bytes: Uint8Array): void;
  /** Bytes are taken again after `send` returned false. */
  drain(): void;
  /** The connection has ended, whoever ended it. Comes once and last. */
  close(error: Error | undefined): void;
}

/** A connection that carries bytes in order, both ways. */
export interface LinkTransport {
  /** Begins to hand on what comes. Called once, before anything else. Never calls back before it has returned. */
  start(events: LinkTransportEvents): void;
  /** Sends bytes, which are not changed afterwards. False if nothing more should be sent before `drain`. */
  send(bytes: Uint8Array): boolean;
  /** Closes after everything that was sent has left. Ends hard if the other side does not take it in time. */
  close(): void;
  /** Cuts the connection off. */
  destroy(): void;
}
