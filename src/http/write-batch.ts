import type { Writable } from "node:stream";

/** The part of a socket that a {@link WriteBatch} needs. */
export type Corkable = Pick<Writable, "cork" | "uncork">;

/**
 * Holds back what several connections write until everything that has arrived in this turn of the event loop is dealt
 * with, and sends it in one go then. To wake a program that waits for its next message costs more than to send that
 * message; whoever gets one of many at a time is still busy with the first when the next ones come.
 *
 * A connection that is the only one with something to do loses nothing: its turn ends at once.
 */
export class WriteBatch {
  #held: Corkable[] = [];

  /** What is written to the connection from now on leaves at the end of the turn, in its order. */
  hold(connection: Corkable): void {
    connection.cork();
    if (this.#held.push(connection) === 1) setImmediate(this.#release);
  }

  readonly #release = (): void => {
    const held = this.#held;
    this.#held = [];
    for (const connection of held) connection.uncork();
  };
}
