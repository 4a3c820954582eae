import { closeCode, LinkFault } from "./frame.js";
import type { FrameWriter } from "./frame-writer.js";
import type { SectionReader } from "./section-reader.js";

/** Longest text, in bytes, that is kept in a table. */
export const maxTableTextBytes = 256;

// How many texts seen once are remembered. Texts that differ with every call fill it up, and then it is emptied.
const maxCandidates = 256;

const mode = { literal: 0, store: 1, reference: 2 } as const;

/**
 * Texts (paths, field names, values) that the other side knows by a number. A text is stored when it is sent for the second
 * time, in the slot that was filled longest ago, so that rare ones do not push the common ones out.
 */
export class SendTable {
  readonly #size: number;
  readonly #slots = new Map<string, number>();
  readonly #texts: string[] = [];
  readonly #candidates = new Set<string>();
  #next = 0;

  /** @param size how many slots the receiver keeps; 0 is none */
  constructor(size: number) {
    this.#size = size;
  }

  write(writer: FrameWriter, text: string): void {
    const slot = this.#slots.get(text);
    if (slot !== undefined) return writer.varint(slot * 4 + mode.reference);
    if (text.length * 3 <= maxTableTextBytes && this.#size > 0 && this.#seenBefore(text)) {
      const target = this.#next;
      this.#next = (target + 1) % this.#size;
      const before = this.#texts[target];
      if (before !== undefined) this.#slots.delete(before);
      this.#texts[target] = text;
      this.#slots.set(text, target);
      writer.varint(target * 4 + mode.store);
      return writer.text(text, 0);
    }
    writer.text(text, 2);
  }

  #seenBefore(text: string): boolean {
    if (this.#candidates.delete(text)) return true;
    if (this.#candidates.size >= maxCandidates) this.#candidates.clear();
    this.#candidates.add(text);
    return false;
  }
}

/** What a text is used as; each has its own rules. */
export type TextUse = "path" | "name" | "value";

interface Stored {
  readonly text: string;
  readonly bytes: number;
  /** The uses that it was found good for already. */
  good: number;
}

const useBit = { path: 1, name: 2, value: 4 } as const;

/** The receiver's side of a {@link SendTable}. */
export class ReceiveTable {
  readonly #size: number;
  readonly #slots: (Stored | undefined)[] = [];
  #bytes = 0;

  constructor(size: number) {
    this.#size = size;
  }

  /** Bytes of the text that was read last. */
  get lastBytes(): number {
    return this.#bytes;
  }

  /** @throws LinkFault if the slot is empty or beyond the table, or the text is not allowed for that use */
  read(reader: SectionReader, use: TextUse): string {
    const tag = reader.varint();
    const kind = tag % 4;
    const number = (tag - kind) / 4;
    if (kind === mode.literal) {
      this.#bytes = number;
      return checked(reader.text(number), use);
    }
    const stored = kind === mode.store ? this.#store(reader, number) : this.#slots[number];
    if (kind > mode.reference || stored === undefined) {
      throw new LinkFault(closeCode.protocol, `text ${number} of the table was used before it was stored`);
    }
    if ((stored.good & useBit[use]) === 0) {
      checked(stored.text, use);
      stored.good |= useBit[use];
    }
    this.#bytes = stored.bytes;
    return stored.text;
  }

  #store(reader: SectionReader, slot: number): Stored {
    const bytes = reader.varint();
    if (slot >= this.#size || bytes > maxTableTextBytes) {
      throw new LinkFault(
        closeCode.limit,
        `the table has ${this.#size} slots for texts up to ${maxTableTextBytes} bytes, not slot ${slot} for ${bytes} bytes`,
      );
    }
    const stored = { text: reader.text(bytes), bytes, good: 0 };
    this.#slots[slot] = stored;
    return stored;
  }
}

/** Whether a name is one of `:method` and the like, which are no fields of an HTTP message but its first line. */
export const isPseudo = (name: string): boolean => name.charCodeAt(0) === 0x3a;

/** Whether a text can be sent for this use. */
export function isAllowed(text: string, use: TextUse): boolean {
  if (use === "value") return !badValue.test(text);
  return text !== "" && !(use === "name" ? badName : badPath).test(text);
}

function checked(text: string, use: TextUse): string {
  if (isAllowed(text, use)) return text;
  throw new LinkFault(closeCode.protocol, `${JSON.stringify(text.slice(0, 64))} cannot be a ${use}`);
}

// A colon is allowed in front only: `:status` and the like of HTTP exchanges. Capital letters are not (as in HTTP/2).
const badName = /(?!^:)[^!#$%&'*+\-.^_`|~0-9a-z]/;
const badPath = /^[^/]|[^\x21-\x7e]/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what a field value must not have
const badValue = /[\x00-\x08\x0a-\x1f\x7f]/;
