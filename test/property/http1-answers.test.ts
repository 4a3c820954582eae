import fc from "fast-check";
import { expect, test } from "vitest";
import { AnswerParser } from "../../src/router/http1-answer-parser.js";

const token = fc.stringMatching(/^[a-z][a-z0-9-]{0,12}$/);
const value = fc.stringMatching(/^[!-~\x80-\xff](?:[\t -~\x80-\xff]{0,20}[!-~\x80-\xff])?$/);
const reserved = new Set(["connection", "content-length", "transfer-encoding", "keep-alive"]);
const fieldLists = fc
  .array(fc.tuple(token, value), { maxLength: 6 })
  .map((list) => list.filter(([name]) => !reserved.has(name)));
const chunks = fc.array(fc.uint8Array({ minLength: 1, maxLength: 300 }), { maxLength: 6 });

const lines = (fields: readonly (readonly [string, string])[]): string =>
  fields.map(([name, text]) => `${name}: ${text}\r\n`).join("");

/** An answer as bytes, and what it says. */
const answers = fc
  .record({
    status: fc.integer({ min: 200, max: 599 }).filter((status) => status !== 204 && status !== 304),
    fields: fieldLists,
    body: chunks,
    trailers: fieldLists,
    isChunked: fc.boolean(),
  })
  .map(({ status, fields, body, trailers, isChunked }) => {
    const whole = Buffer.concat(body);
    const framing = isChunked ? "transfer-encoding: chunked\r\n" : `content-length: ${whole.length}\r\n`;
    const head = Buffer.from(`HTTP/1.1 ${status} Any\r\n${lines(fields)}${framing}\r\n`, "latin1");
    const parts = body.flatMap((part) => [Buffer.from(`${part.length.toString(16)}\r\n`), part, Buffer.from("\r\n")]);
    const end = Buffer.from(`0\r\n${lines(trailers)}\r\n`, "latin1");
    return {
      bytes: Buffer.concat(isChunked ? [head, ...parts, end] : [head, whole]),
      said: { status, fields: fields.flat(), body: whole, trailers: isChunked ? trailers.flat() : [] },
    };
  });

function read(pieces: readonly Buffer[]) {
  const body: Buffer[] = [];
  let status = 0;
  let fields: readonly string[] = [];
  let trailers: readonly string[] | undefined;
  const parser = new AnswerParser(
    {
      head: (head) => {
        status = head.status;
        fields = head.fields.slice(0, -2);
      },
      data: (chunk) => body.push(Buffer.from(chunk)),
      end: (list) => {
        trailers = list;
      },
    },
    65_536,
  );
  parser.expect("POST");
  const used = pieces.reduce((sum, piece) => sum + parser.push(piece), 0);
  return { status, fields, body: Buffer.concat(body), trailers, used };
}

function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const at = [...new Set(places.map((place) => place % (bytes.length + 1)))].sort((a, b) => a - b);
  return [0, ...at].map((from, index) => bytes.subarray(from, at[index] ?? bytes.length));
}

test("an answer says the same however its bytes are cut, and nothing of what follows is taken for a part of it", () => {
  fc.assert(
    fc.property(answers, fc.array(fc.nat(), { maxLength: 12 }), fc.string(), ({ bytes, said }, places, behind) => {
      const pieces = cut(bytes, places);
      expect(read(pieces)).toEqual({ ...said, used: bytes.length });
      const last = Buffer.concat([pieces.pop() as Buffer, Buffer.from(behind)]);
      expect(read([...pieces, last])).toEqual({ ...said, used: bytes.length });
    }),
    { numRuns: 300 },
  );
});

test("any bytes are an answer or a fault, never anything else, and what is kept of them is bounded", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 8 }), fc.boolean(), (pieces, isHttp) => {
      const beginning = isHttp ? [Buffer.from("HTTP/1.1 200 OK\r\n")] : [];
      try {
        read([...beginning, ...pieces.map((piece) => Buffer.from(piece))]);
      } catch (error) {
        expect((error as Error).constructor.name).toMatch(/^(AnswerFault|SpeaksHttp2)$/);
      }
    }),
    { numRuns: 500 },
  );
});
