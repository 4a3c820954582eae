/** Who is told how a stream goes. */
export interface StreamWatcher {
  /** The first message is there. */
  onFirst(): void;
  /** The stream ended without an error, or its reader has left it. */
  onEnd(isLeft: boolean): void;
  /** The stream ended with an error. Returns the error that the reader gets. */
  onFailure(error: unknown): unknown;
  /** Nobody reads it any more, however it ended. */
  onOver(): void;
}

/** The same messages, watched. */
export async function* watched<T>(messages: AsyncIterable<T>, watcher: StreamWatcher): AsyncGenerator<T> {
  let begun = false;
  let told = false;
  try {
    for await (const message of messages) {
      if (!begun) watcher.onFirst();
      begun = true;
      yield message;
    }
    told = true;
    watcher.onEnd(false);
  } catch (error) {
    told = true;
    throw watcher.onFailure(error);
  } finally {
    if (!told) watcher.onEnd(true);
    watcher.onOver();
  }
}
