import type { FieldList } from "../http/exchange.js";
import { callKind, resetCode } from "./frame.js";
import { countedErrorBytes, type EndLimits, fieldOverheadBytes, type HeadLimits } from "./head-codec.js";
import type { LinkCallHead, LinkEnd } from "./link-stream.js";
import { isAllowed, isPseudo } from "./text-table.js";

/**
 * Why the other side would not take a head or an end. Found out here because it ends the whole link for a bad one, and with
 * it the calls of others.
 */
export interface HeadProblem {
  /** As a reset says it. */
  readonly code: typeof resetCode.internal | typeof resetCode.tooLarge;
  readonly message: string;
}

/** What is known of the names of fields: whether some may begin with `:`, or that they were looked at before. */
type Names = "plain" | "pseudo" | "checked";

/** What is wrong with the head of a call; undefined if the other side will take it, as with the others. */
export function callHeadProblem(head: LinkCallHead, limits: HeadLimits, isChecked: boolean): HeadProblem | undefined {
  const { kind, path, deadlineMs, fields } = head;
  if (!(Number.isSafeInteger(deadlineMs) && deadlineMs >= 0 && deadlineMs < 2 ** 48)) {
    return malformed(`deadlineMs is ${deadlineMs}; it must be a whole number, or 0 for none`);
  }
  if (!isAllowed(path, "path")) return malformed(`${JSON.stringify(path.slice(0, 64))} cannot be a path`);
  return fieldsProblem(
    fields,
    kind === callKind.http ? "pseudo" : isChecked ? "checked" : "plain",
    limits,
    path.length,
  );
}

/** What is wrong with the head of an answer. `isHttp`: it begins with `:status`. */
export const answerHeadProblem = (fields: FieldList, isHttp: boolean, limits: HeadLimits): HeadProblem | undefined =>
  fieldsProblem(fields, isHttp ? "pseudo" : "plain", limits, 0);

/** What is wrong with an end. */
export function endProblem({ message, details, trailers }: LinkEnd, limits: EndLimits): HeadProblem | undefined {
  const errorBytes = Buffer.byteLength(message) + (details?.length ?? 0);
  return fieldsProblem(trailers, "plain", limits, countedErrorBytes(errorBytes, limits));
}

/** The size of fields as limits count it. */
export function fieldsSize(fields: FieldList): number {
  let bytes = fieldOverheadBytes * ((fields.length >>> 1) + 1);
  for (const text of fields) bytes += Buffer.byteLength(text);
  return bytes;
}

function fieldsProblem(
  fields: FieldList,
  names: Names,
  limits: HeadLimits,
  otherBytes: number,
): HeadProblem | undefined {
  const count = fields.length >>> 1;
  let bytes = otherBytes + fieldOverheadBytes * (count + 1);
  for (let index = 0; index < fields.length; index++) {
    const text = fields[index] as string;
    if (names !== "checked") {
      const use = index % 2 === 0 ? "name" : "value";
      if (!isAllowed(text, use) || (use === "name" && names === "plain" && isPseudo(text))) {
        return malformed(`${JSON.stringify(text.slice(0, 64))} cannot be a ${use}`);
      }
    }
    bytes += text.length * 3;
  }
  // Counting exactly costs more, and texts are rarely that long.
  if (bytes > limits.maxHeadBytes) bytes = otherBytes + fieldsSize(fields);
  if (count <= limits.maxFields && bytes <= limits.maxHeadBytes) return undefined;
  return {
    code: resetCode.tooLarge,
    message: `${count} fields with ${bytes} bytes; the other side takes at most ${limits.maxFields} and ${limits.maxHeadBytes}`,
  };
}

const malformed = (message: string): HeadProblem => ({ code: resetCode.internal, message });
