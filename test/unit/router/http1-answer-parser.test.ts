import { describe, expect, test } from "vitest";
import { AnswerParser } from "../../../src/router/http1-answer-parser.js";
import { type AnswerHead, SpeaksHttp2 } from "../../../src/router/http1-head.js";

/** What a parser told of, in order. */
function parse(method: string, ...pieces: readonly (string | Buffer)[]) {
  const heads: AnswerHead[] = [];
  let body = "";
  let trailers: readonly string[] | undefined;
  const parser = new AnswerParser(
    {
      head: (head) => heads.push(head),
      data: (chunk) => {
        body += chunk.toString("latin1");
      },
      end: (fields) => {
        trailers = fields;
      },
    },
    1_024,
  );
  parser.expect(method);
  let unused = 0;
  for (const piece of pieces) {
    const bytes = typeof piece === "string" ? Buffer.from(piece, "latin1") : piece;
    unused += bytes.length - parser.push(bytes);
  }
  return { heads, head: heads.at(-1), body, trailers, unused, parser };
}

const head = (...lines: string[]): string => `${["HTTP/1.1 200 OK", ...lines].join("\r\n")}\r\n\r\n`;

describe("an answer", () => {
  test("with a length ends with its last byte", () => {
    const seen = parse("POST", head("Content-Type: text/plain", "content-length:  5 "), "hel", "lo");
    expect(seen.head).toMatchObject({
      status: 200,
      fields: ["content-type", "text/plain", "content-length", "5"],
      keepsAlive: true,
    });
    expect(seen).toMatchObject({ body: "hello", trailers: [], unused: 0 });
    expect(seen.parser.idle).toBe(true);
  });

  test("in chunks ends with its trailers, and extensions of chunks are dropped", () => {
    const seen = parse(
      "GET",
      head("Transfer-Encoding: Chunked"),
      "3;a=b\r\nhel\r\n2 ; c\r\nlo\r\n0\r\nGrpc-Status: 0\r\nx: y\r\n\r\n",
    );
    expect(seen).toMatchObject({ body: "hello", trailers: ["grpc-status", "0", "x", "y"], unused: 0 });
  });

  test("without a length ends with its connection, which is not used again", () => {
    const seen = parse("GET", head(), "some", " text");
    expect(seen.head?.keepsAlive).toBe(false);
    expect(seen.trailers).toBeUndefined();
    expect(seen.parser.finish()).toBe(true);
  });

  test.each([
    ["HEAD", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"],
    ["GET", "HTTP/1.1 204 No Content\r\n\r\n"],
    ["GET", "HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n"],
    ["GET", "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"],
    ["GET", "HTTP/1.1 200 OK\r\ncontent-length: 00\r\n\r\n"],
    ["GET", "HTTP/1.1 200\r\ncontent-length: 0\r\n\r\n"],
  ])("that has no body is complete with its head: %s %j", (method, text) => {
    expect(parse(method, text)).toMatchObject({ body: "", trailers: [], unused: 0 });
  });

  test("follows 1xx answers, which are told of one by one", () => {
    const seen = parse(
      "GET",
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n",
      head("content-length: 1"),
      "x",
    );
    expect(seen.heads.map(({ status }) => status)).toEqual([100, 103, 200]);
    expect(seen).toMatchObject({ body: "x", trailers: [] });
  });

  test("leaves alone what stands behind it", () => {
    const stray = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nbad";
    const seen = parse("GET", `${head("content-length: 2")}ok${stray}`);
    expect(seen).toMatchObject({ body: "ok", unused: stray.length });
    expect(seen.heads).toHaveLength(1);
  });

  test.each([
    ["HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\n"],
    ["HTTP/1.1 200 OK\r\nconnection: x, Close\r\ncontent-length: 1\r\n\r\n"],
  ])("says that its connection closes: %j", (text) => {
    expect(parse("GET", text).head?.keepsAlive).toBe(false);
  });

  test("that breaks off is not complete", () => {
    expect(parse("GET", head("content-length: 5"), "hel").parser.finish()).toBe(false);
    expect(parse("GET", "HTTP/1.1 200").parser.finish()).toBe(false);
    expect(parse("GET", head("transfer-encoding: chunked"), "3\r\nhel\r\n").parser.finish()).toBe(false);
  });
});

describe("refused is", () => {
  test.each([
    ["a status line of another protocol", "HTTP/2 200 OK\r\n\r\n"],
    ["a status that is none", "HTTP/1.1 99 Low\r\n\r\n"],
    ["no status line", "hello\r\n\r\n"],
    ["both lengths", head("content-length: 1", "transfer-encoding: chunked")],
    ["two lengths", head("content-length: 1", "content-length: 1")],
    ["a signed length", head("content-length: +1")],
    ["another coding", head("transfer-encoding: gzip, chunked")],
    ["a coding twice", head("transfer-encoding: chunked", "transfer-encoding: chunked")],
    ["chunks over HTTP/1.0", "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"],
    ["a bare LF in a head", "HTTP/1.1 200 OK\r\na: b\nc: d\r\n\r\n"],
    ["a bare CR in a head", "HTTP/1.1 200 OK\r\na: b\rc: d\r\n\r\n"],
    ["a NUL in a value", head("a: b\0c")],
    ["a folded line", head("a: b", " c")],
    ["a name with a space", head("a : b")],
    ["a line without a colon", head("a")],
    ["a field without a name", head(": b")],
    ["101 without a request for it", "HTTP/1.1 101 Switching Protocols\r\n\r\n"],
    ["a chunk that is longer than it says", `${head("transfer-encoding: chunked")}1\r\nxy\r\n`],
    ["a chunk size that is no number", `${head("transfer-encoding: chunked")}0x1\r\nx\r\n`],
    ["a negative chunk size", `${head("transfer-encoding: chunked")}-1\r\n`],
    ["a chunk size beyond all memory", `${head("transfer-encoding: chunked")}${"f".repeat(13)}\r\n`],
    ["a trailer that is no field", `${head("transfer-encoding: chunked")}0\r\nno field\r\n\r\n`],
    ["a head that is too long", head(`a: ${"x".repeat(1_100)}`)],
  ])("%s", (_what, text) => {
    expect(() => parse("GET", text)).toThrow(/answer|field|line|chunk|longer|provider/);
    expect(() => parse("GET", ...text)).toThrow(/answer|field|line|chunk|longer|provider/);
  });

  test("a head without an end, as soon as it is too long", () => {
    const seen = parse("GET", "HTTP/1.1 200 OK\r\na: ");
    expect(() => {
      for (let sent = 0; sent < 2_000; sent++) seen.parser.push(Buffer.from("x"));
    }).toThrow(/longer than 1024 bytes/);
  });

  test("1xx answers without end", () => {
    const seen = parse("GET");
    expect(() => {
      for (let sent = 0; sent < 100; sent++) seen.parser.push(Buffer.from("HTTP/1.1 103 Early Hints\r\n\r\n"));
    }).toThrow(/103/);
  });

  test("a frame of HTTP/2, as what it is", () => {
    const settings = Buffer.from([0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 100]);
    expect(() => parse("GET", settings)).toThrow(SpeaksHttp2);
    expect(() => parse("GET", Buffer.from([0, 0, 6, 5, 0, 0, 0, 0, 0]))).toThrow(/does not begin like/);
  });
});
