import { callKind, frameFlag, frameType, pieceOverheadBytes } from "./frame.js";
import type { FrameWriter } from "./frame-writer.js";
import { okEnd, writeAnswerHead, writeCallHead, writeEnd } from "./head-codec.js";
import type { LinkEnd } from "./link-stream.js";
import type { StreamCore } from "./stream-core.js";
import type { SendTable } from "./text-table.js";

/** Bytes of a message that go into a frame. */
export interface FrameContent {
  readonly bytes: Uint8Array | undefined;
  readonly from: number;
  readonly to: number;
  readonly endOfMessage: boolean;
}

/** A frame without bytes. */
export const noContent: FrameContent = { bytes: undefined, from: 0, to: 0, endOfMessage: false };

/**
 * Writes a stream's next frame: its head if that has not gone out, bytes, and the end, whatever there is of it. Returns
 * what it costs in windows.
 */
export function writeStreamFrame(
  writer: FrameWriter,
  table: SendTable,
  stream: StreamCore,
  content: FrameContent,
  end: LinkEnd | undefined,
): number {
  const { bytes, from, to } = content;
  const opening = stream.openWaits;
  const head = stream.answerHead;
  const plainEnd = end === okEnd;
  // A body has no messages in it, whatever whoever passes it on makes of its pieces.
  let flags = content.endOfMessage && stream.head.kind !== callKind.http ? frameFlag.endOfMessage : 0;
  if (end !== undefined) flags |= plainEnd ? frameFlag.endOfStream : frameFlag.end;
  if (head !== undefined) flags |= frameFlag.head;
  writer.begin(opening ? frameType.open : frameType.part, flags, stream.id);
  if (opening) writeCallHead(writer, table, stream.head);
  else if (head !== undefined) writeAnswerHead(writer, table, head);
  stream.openWaits = false;
  stream.answerHead = undefined;
  if (end !== undefined && !plainEnd) writeEnd(writer, table, end);
  if (bytes !== undefined) writer.bytes(bytes, from, to);
  writer.finish();
  return bytes === undefined ? 0 : to - from + pieceOverheadBytes;
}
