import type { Writable } from "node:stream";

/** The part of a socket that a {@link WriteBatch} needs. */
export type Corkable = Pick<Writable, "cork" | "uncork">;

// With fewer in a turn, what the first one waits for the others is more than what is saved.
const busyFrom = 4;

/**
 * Holds back what several connections write until everything that has arrived in this turn of the event loop is dealt
 * with, and sends it in one go then. To wake a program that waits for its next message costs more than to send that
 * message; whoever gets one of many at a time is still busy with the first when the next ones come.
 *
 * Only while turns are busy: if the last one had next to nothing to send, everything leaves at once.
 */
export class WriteBatch {
  #held: Corkable[] = [];
  #inThisTurn = 0;
  #isBusy = false;

  /** What is written to the connection from now on leaves at the end of the turn, in its order, or at once. */
  hold(connection: Corkable): void {
    this.#inThisTurn += 1;
    if (this.#inThisTurn === 1) setImmediate(this.#endTurn);
    if (!this.#isBusy) return;
    connection.cork();
    this.#held.push(connection);
  }

  readonly #endTurn = (): void => {
    this.#isBusy = this.#inThisTurn >= busyFrom;
    this.#inThisTurn = 0;
    if (this.#held.length === 0) return;
    const held = this.#held;
    this.#held = [];
    for (const connection of held) connection.uncork();
  };
}
