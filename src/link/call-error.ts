import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import type { FieldList } from "../http/exchange.js";
import { noFields, toHeaders } from "../http/field-list.js";
import { type ResetCode, resetCode } from "./frame.js";
import { deadlineError } from "./in-process-error.js";
import type { LinkEnd } from "./link-stream.js";

type Detail = ConnectError["details"][number];

const typePrefix = "type.googleapis.com/";
// `details` of google.rpc.Status.
const detailsField = 3;

/** The end of a call that failed with `told`, of whose metadata `trailers` holds what is to be sent. */
export function endOfError(told: ConnectError, trailers: FieldList = noFields): LinkEnd {
  return { code: knownCode(told.code), message: told.rawMessage, details: writeDetails(told), trailers };
}

/** What is no code of Connect's is `unknown`, as over HTTP. With 0 an error would look like an end that is none. */
const knownCode = (code: number): Code =>
  Number.isInteger(code) && code >= Code.Canceled && code <= Code.Unauthenticated ? code : Code.Unknown;

/** Undefined without details. A detail that cannot be written makes an internal error of the whole, as over HTTP. */
function writeDetails(error: ConnectError): Uint8Array | undefined {
  if (error.details.length === 0) return undefined;
  const writer = new BinaryWriter();
  for (const detail of error.details) {
    const any = create(AnySchema, anyOf(detail));
    writer.tag(detailsField, WireType.LengthDelimited).bytes(toBinary(AnySchema, any));
  }
  return writer.finish();
}

function anyOf(detail: Detail): { typeUrl: string; value: Uint8Array } {
  if (!("desc" in detail)) return { typeUrl: typePrefix + detail.type, value: detail.value };
  return {
    typeUrl: typePrefix + detail.desc.typeName,
    value: toBinary(detail.desc, create(detail.desc, detail.value)),
  };
}

/** The error that an end tells of, as callers get it. */
export function errorOfEnd(end: LinkEnd, metadata: Headers): ConnectError {
  const error = new ConnectError(end.message, knownCode(end.code), metadata);
  if (end.details !== undefined) error.details.push(...readDetails(end.details));
  return error;
}

/** None if the bytes make no sense: the error itself is worth more than its details. */
function readDetails(bytes: Uint8Array): Detail[] {
  const details: Detail[] = [];
  try {
    const reader = new BinaryReader(bytes);
    while (reader.pos < reader.len) {
      const [field, type] = reader.tag();
      if (field !== detailsField) {
        reader.skip(type, field);
        continue;
      }
      const { typeUrl, value } = fromBinary(AnySchema, reader.bytes());
      details.push({ type: typeUrl.slice(typeUrl.lastIndexOf("/") + 1), value });
    }
  } catch {
    return [];
  }
  return details;
}

/** What the end of a stream before its time means to the one who called. */
export const codeOfReset: Readonly<Record<ResetCode, Code>> = {
  [resetCode.cancelled]: Code.Canceled,
  [resetCode.refused]: Code.Unavailable,
  [resetCode.deadline]: Code.DeadlineExceeded,
  [resetCode.unavailable]: Code.Unavailable,
  [resetCode.tooLarge]: Code.ResourceExhausted,
  [resetCode.internal]: Code.Internal,
  [resetCode.protocol]: Code.Internal,
};

/** The error of a call that ended early, as callers get it. What may be tried again says so. */
export function errorOfReset(code: ResetCode, message: string): ConnectError {
  if (code === resetCode.deadline) return deadlineError();
  const error = new ConnectError(message || "the call was given up", codeOfReset[code]);
  if (error.code === Code.Unavailable) error.metadata.set("retry-after", "1");
  return error;
}

/** Fields of the one who answers, and `content-type` if they lack it. */
export function answerHeaders(fields: FieldList, contentType: string): Headers {
  const headers = toHeaders(fields);
  if (!headers.has("content-type")) headers.set("content-type", contentType);
  return headers;
}

/** Adds fields to headers that exist. */
export function appendFields(headers: Headers, fields: FieldList): void {
  for (let index = 0; index + 1 < fields.length; index += 2) {
    headers.append(fields[index] as string, fields[index + 1] as string);
  }
}
