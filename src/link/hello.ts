import { closeCode, frameType, LinkFault, linkVersion } from "./frame.js";
import type { FrameWriter } from "./frame-writer.js";
import { type LinkLimits, leastFrameBytes, maxWindowBytes } from "./link-limits.js";
import type { SectionReader } from "./section-reader.js";

/** What the other side has said that it takes. */
export type PeerLimits = Pick<
  LinkLimits,
  | "maxFrameBytes"
  | "maxHeadBytes"
  | "maxFields"
  | "maxMessageBytes"
  | "maxStreams"
  | "streamWindowBytes"
  | "linkWindowBytes"
  | "tableSlots"
  | "maxErrorBytes"
>;

const magic = 0x43504c4b; // "CPLK"

// The numbers on the wire are the places in this list, from 1.
const settings: readonly (keyof PeerLimits)[] = [
  "maxFrameBytes",
  "maxHeadBytes",
  "maxFields",
  "maxMessageBytes",
  "maxStreams",
  "streamWindowBytes",
  "linkWindowBytes",
  "tableSlots",
  "maxErrorBytes",
];

/** What a side takes that does not say so. They never change: peers of any age count on them. */
export const unsaidLimits: PeerLimits = Object.freeze({
  maxFrameBytes: 131_072,
  maxHeadBytes: 32_768,
  maxFields: 200,
  maxMessageBytes: 16_777_216,
  maxStreams: 1_024,
  streamWindowBytes: 65_536,
  linkWindowBytes: 67_108_864,
  tableSlots: 256,
  maxErrorBytes: 0,
});

/** Writes the first frame of a link. */
export function writeHello(writer: FrameWriter, limits: LinkLimits): void {
  writer.begin(frameType.hello, 0, 0);
  for (const shift of [24, 16, 8, 0]) writer.byte((magic >>> shift) & 0xff);
  writer.byte(linkVersion);
  for (const [index, name] of settings.entries()) {
    writer.varint(index + 1);
    writer.varint(limits[name]);
  }
  writer.finish();
}

/**
 * Reads the first frame's payload. What it does not set is as in {@link unsaidLimits}; settings that we do not know are skipped.
 *
 * @throws LinkFault if the other side speaks something else, or no version of it that we speak
 */
export function readHello(reader: SectionReader): PeerLimits {
  if (reader.uint(4) !== magic)
    throw new LinkFault(closeCode.protocol, "the other side does not speak the link protocol");
  const version = reader.byte();
  if (version < linkVersion) {
    throw new LinkFault(closeCode.version, `the other side speaks version ${version}, we speak ${linkVersion}`);
  }
  const peer: { -readonly [Name in keyof PeerLimits]: number } = { ...unsaidLimits };
  while (!reader.done) {
    const name = settings[reader.varint() - 1];
    const value = reader.varint();
    if (name !== undefined) peer[name] = value;
  }
  // Senders count on this much; with less an honest head or message would be too large.
  if (
    peer.maxHeadBytes < 1_024 ||
    peer.maxFrameBytes < leastFrameBytes(peer) ||
    Math.min(peer.streamWindowBytes, peer.linkWindowBytes) < 1_024 ||
    Math.max(peer.streamWindowBytes, peer.linkWindowBytes) > maxWindowBytes
  ) {
    throw new LinkFault(closeCode.protocol, "the other side's limits do not fit together");
  }
  return peer;
}
