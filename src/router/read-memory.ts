/** How a socket of node:net reads into memory of ours instead of new memory for each read. */
export interface SocketReader {
  /** Asked before a connection's first read, and after each read for the memory of the next one. */
  readonly buffer: () => Uint8Array;
  /** Gets how much was read, and into what. False stops reading until `resume`. */
  readonly callback: (bytes: number, buffer: Uint8Array) => boolean;
}

const readBytes = 64 * 1024;
/** From here on a read is handed on as it is: copying would cost more than new memory. */
const giveAwayBytes = 16 * 1024;

/** Memory that all connections of a pool read into, one after the other. */
export type SharedMemory = Buffer;

/** @see ReadMemory */
export const sharedMemory = (): SharedMemory => Buffer.allocUnsafeSlow(readBytes);

/**
 * What one connection reads into: the memory that it shares with others, which never leaves this class but as a loan, or
 * memory of its own while it reads much. Node would take 64 KiB for each read, which for the usual answer of some hundred
 * bytes costs more than everything else that is done with it.
 */
export class ReadMemory {
  readonly #shared: SharedMemory;
  #own: Buffer | undefined;

  constructor(shared: SharedMemory) {
    this.#shared = shared;
  }

  readonly next = (): Buffer => this.#own ?? this.#shared;

  /**
   * What was read into `buffer`, which the socket was given when it had read before: that may not be what it gets next.
   * `isLent` if it is overwritten by the next read, of any connection, so that who keeps any of it makes a copy.
   */
  take(bytes: number, buffer: Uint8Array): { readonly chunk: Buffer; readonly isLent: boolean } {
    const isLarge = bytes >= giveAwayBytes;
    // Others read into the shared memory meanwhile, so only its own is a connection's to give away.
    const isLent = !isLarge || buffer === this.#shared;
    this.#own = isLarge ? Buffer.allocUnsafeSlow(readBytes) : undefined;
    return { chunk: Buffer.from(buffer.buffer, buffer.byteOffset, bytes), isLent };
  }
}
