import type { FieldList } from "../http/exchange.js";
import { noFields } from "../http/field-list.js";
import { type CallKind, callKind, closeCode, LinkFault } from "./frame.js";
import type { FrameWriter } from "./frame-writer.js";
import type { LinkLimits } from "./link-limits.js";
import type { LinkCallHead, LinkEnd } from "./link-stream.js";
import type { SectionReader } from "./section-reader.js";
import { isPseudo, type ReceiveTable, type SendTable } from "./text-table.js";

/** What each field, and each head, counts towards the limit beside its bytes. */
export const fieldOverheadBytes = 16;

/** Limits of a head. */
export type HeadLimits = Pick<LinkLimits, "maxHeadBytes" | "maxFields">;

/** Limits of an end. */
export type EndLimits = HeadLimits & Pick<LinkLimits, "maxErrorBytes">;

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
  if (kind !== callKind.http) refusePseudoFields(fields);
  reader.leaveSection();
  return { kind: kind as CallKind, deadlineMs, path, fields };
}

/** Which of the names may begin with `:` is for those to say who know the call; see {@link refusePseudoFields}. */
export function readAnswerHead(reader: SectionReader, table: ReceiveTable, limits: HeadLimits): FieldList {
  reader.enterSection();
  const fields = readFields(reader, table, limits, 0);
  reader.leaveSection();
  return fields;
}

export function readEnd(reader: SectionReader, table: ReceiveTable, limits: EndLimits): LinkEnd {
  reader.enterSection();
  const code = reader.varint();
  const messageBytes = reader.varint();
  const message = reader.text(messageBytes);
  const detailsBytes = reader.varint();
  const bytes = reader.bytes(detailsBytes);
  const trailers = readFields(reader, table, limits, countedErrorBytes(messageBytes + detailsBytes, limits));
  refusePseudoFields(trailers);
  reader.leaveSection();
  // A copy: errors are kept for longer than the chunk that they came in should be.
  return { code, message, details: detailsBytes === 0 ? undefined : Uint8Array.from(bytes), trailers };
}

/** An error that is within its own limit leaves all of `maxHeadBytes` to the trailers. */
export const countedErrorBytes = (bytes: number, { maxErrorBytes }: EndLimits): number =>
  bytes > maxErrorBytes ? bytes : 0;

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

/** @throws LinkFault if there is `:method` or the like where no HTTP message begins */
export function refusePseudoFields(fields: FieldList): void {
  for (let index = 0; index < fields.length; index += 2) {
    if (!isPseudo(fields[index] as string)) continue;
    throw new LinkFault(closeCode.protocol, `${JSON.stringify(fields[index])} cannot be a name here`);
  }
}
