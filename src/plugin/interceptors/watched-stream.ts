/** Who is told how a stream goes. */
export interface StreamWatcher {
  /** The first message is there, or the end of a stream without one. */
  onFirst(): void;
  /** The stream ended with an error. Returns the error that the reader gets. */
  onFailure(error: unknown): unknown;
  /** The reader left before the first message. */
  onLeft(): void;
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
    if (!begun) watcher.onFirst();
    told = true;
  } catch (error) {
    told = true;
    throw watcher.onFailure(error);
  } finally {
    if (!told && !begun) watcher.onLeft();
    watcher.onOver();
  }
}
