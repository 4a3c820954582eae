import type { FieldList } from "../http/exchange.js";
import { noFields } from "../http/field-list.js";
import { type CallKind, callKind, closeCode, LinkFault } from "./frame.js";
import type { FrameWriter } from "./frame-writer.js";
import type { LinkCallHead, LinkEnd } from "./link-stream.js";
import type { SectionReader } from "./section-reader.js";
import { isAllowed, type ReceiveTable, type SendTable } from "./text-table.js";

/** What each field, and each head, counts towards the limit beside its bytes. */
const fieldOverheadBytes = 16;

/** Limits of a head. */
export interface HeadLimits {
  readonly maxHeadBytes: number;
  readonly maxFields: number;
}

/** The end of a call that went well and has no trailers. */
export const okEnd: LinkEnd = Object.freeze({ code: 0, message: "", details: undefined, trailers: noFields });

/** Writes the section that opens a call. */
export function writeCallHead(writer: FrameWriter, table: SendTable, head: LinkCallHead): void {
  const section = writer.beginSection();
  writer.byte(head.kind);
  writer.varint(head.deadlineMs);
  table.write(writer, head.path);
  writeFields(writer, table, head.fields);
  writer.endSection(section);
}

/** Writes the section with the fields of an answer. */
export function writeAnswerHead(writer: FrameWriter, table: SendTable, fields: FieldList): void {
  const section = writer.beginSection();
  writeFields(writer, table, fields);
  writer.endSection(section);
}

/** Writes the section that ends a direction. */
export function writeEnd(writer: FrameWriter, table: SendTable, end: LinkEnd): void {
  const section = writer.beginSection();
  writer.varint(end.code);
  writer.text(end.message, 0);
  writer.varint(end.details?.length ?? 0);
  if (end.details !== undefined) writer.bytes(end.details, 0, end.details.length);
  writeFields(writer, table, end.trailers);
  writer.endSection(section);
}

function writeFields(writer: FrameWriter, table: SendTable, fields: FieldList): void {
  writer.varint(fields.length >>> 1);
  for (let index = 0; index + 1 < fields.length; index += 2) {
    table.write(writer, fields[index] as string);
    table.write(writer, fields[index + 1] as string);
  }
}

/** @throws LinkFault if the section is malformed or beyond the limits; so do the others */
export function readCallHead(reader: SectionReader, table: ReceiveTable, limits: HeadLimits): LinkCallHead {
  reader.enterSection();
  const kind = reader.byte();
  if (kind > callKind.http) throw new LinkFault(closeCode.protocol, `there is no kind of call ${kind}`);
  const deadlineMs = reader.varint();
  const path = table.read(reader, "path");
  const fields = readFields(reader, table, limits, table.lastBytes);
  reader.leaveSection();
  return { kind: kind as CallKind, deadlineMs, path, fields };
}

export function readAnswerHead(reader: SectionReader, table: ReceiveTable, limits: HeadLimits): FieldList {
  reader.enterSection();
  const fields = readFields(reader, table, limits, 0);
  reader.leaveSection();
  return fields;
}

export function readEnd(reader: SectionReader, table: ReceiveTable, limits: HeadLimits): LinkEnd {
  reader.enterSection();
  const code = reader.varint();
  const messageBytes = reader.varint();
  const message = reader.text(messageBytes);
  const detailsBytes = reader.varint();
  // A copy: errors are kept for longer than the chunk that they came in should be.
  const details = detailsBytes === 0 ? undefined : Uint8Array.from(reader.bytes(detailsBytes));
  const trailers = readFields(reader, table, limits, messageBytes + detailsBytes);
  reader.leaveSection();
  return { code, message, details, trailers };
}

function readFields(reader: SectionReader, table: ReceiveTable, limits: HeadLimits, bytesBefore: number): FieldList {
  const count = reader.varint();
  let bytes = bytesBefore + fieldOverheadBytes * (count + 1);
  if (count > limits.maxFields || bytes > limits.maxHeadBytes) throw tooLarge(count, bytes, limits);
  if (count === 0) return noFields;
  const fields: string[] = [];
  for (let index = 0; index < count; index++) {
    const name = table.read(reader, "name");
    bytes += table.lastBytes;
    fields.push(name, table.read(reader, "value"));
    bytes += table.lastBytes;
    if (bytes > limits.maxHeadBytes) throw tooLarge(count, bytes, limits);
  }
  return fields;
}

function tooLarge(count: number, bytes: number, limits: HeadLimits): LinkFault {
  return new LinkFault(
    closeCode.limit,
    `a head with ${count} fields and ${bytes} bytes; at most ${limits.maxFields} and ${limits.maxHeadBytes} are taken`,
  );
}

/**
 * What is wrong with a head that we are about to send; undefined if the other side will take it. Checked here because the
 * other side ends the whole link for a bad one, and with it the calls of others.
 */
export function headProblem(
  fields: FieldList,
  path: string,
  limits: HeadLimits,
  fieldsAreAllowed: boolean,
  otherBytes = 0,
): string | undefined {
  if (!isAllowed(path, "path")) return `${JSON.stringify(path.slice(0, 64))} cannot be a path`;
  const count = fields.length >>> 1;
  const fixed = otherBytes + path.length + fieldOverheadBytes * (count + 1);
  let bytes = fixed;
  for (let index = 0; index < fields.length; index++) {
    const text = fields[index] as string;
    const use = index % 2 === 0 ? "name" : "value";
    if (!fieldsAreAllowed && !isAllowed(text, use)) return `${JSON.stringify(text.slice(0, 64))} cannot be a ${use}`;
    bytes += text.length * 3;
  }
  if (bytes > limits.maxHeadBytes) {
    // Counting exactly costs more, and texts are rarely that long.
    bytes = fixed;
    for (const text of fields) bytes += Buffer.byteLength(text);
  }
  if (count <= limits.maxFields && bytes <= limits.maxHeadBytes) return undefined;
  return `${count} fields with ${bytes} bytes; the other side takes at most ${limits.maxFields} and ${limits.maxHeadBytes}`;
}

/** What is wrong with the head of a call; as {@link headProblem}. */
export function callHeadProblem(head: LinkCallHead, limits: HeadLimits, fieldsAreAllowed: boolean): string | undefined {
  const { deadlineMs } = head;
  if (!(Number.isSafeInteger(deadlineMs) && deadlineMs >= 0 && deadlineMs < 2 ** 48)) {
    return `deadlineMs is ${deadlineMs}; it must be a whole number, or 0 for none`;
  }
  return headProblem(head.fields, head.path, limits, fieldsAreAllowed);
}
