import type { UniversalClientResponse } from "@connectrpc/connect/protocol";
import { notSentField } from "../model/not-sent.js";

const endOfStream = 0x02;
const prefixBytes = 5;

/** Whether the host itself has refused a call of `runtimeId`, so that no provider has seen it. */
export const isHostsRefusal = ({ header }: UniversalClientResponse, runtimeId: string): boolean =>
  header.get(notSentField) === runtimeId;

/** A refusal of the host that was looked into. */
export interface ReadRefusal {
  /** Whether all that is wrong is that the host does not know the caller. */
  readonly isUnknownCaller: boolean;
  /** The same answer, which can be read from its beginning. */
  readonly answer: UniversalClientResponse;
}

/** Looks into a refusal of the host, which is short and complete. */
export async function readRefusal(answer: UniversalClientResponse): Promise<ReadRefusal> {
  // A stream has its error in the body, whatever its status says.
  const isStream = answer.status === 200 && answer.header.get("content-type")?.startsWith("application/connect+");
  if (isStream !== true && answer.status !== 401) return { isUnknownCaller: false, answer };
  const chunks: Uint8Array[] = [];
  for await (const chunk of answer.body) chunks.push(chunk);
  const bytes = Buffer.concat(chunks);
  const isUnknownCaller = isStream === true ? codeOfEnd(bytes) === "unauthenticated" : true;
  return { isUnknownCaller, answer: { ...answer, body: once(bytes) } };
}

/** The code of the error with which a stream begins and ends; undefined if it does not. */
function codeOfEnd(bytes: Buffer): string | undefined {
  if (bytes[0] !== endOfStream) return undefined;
  try {
    const end: { readonly error?: { readonly code?: string } } = JSON.parse(bytes.toString("utf8", prefixBytes));
    return end.error?.code;
  } catch {
    return undefined;
  }
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
