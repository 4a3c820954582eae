/** What comes behind every attempt below; a provider that is ever asked this was reached by smuggling. */
export const smuggled = "GET /services/logger/any/smuggled HTTP/1.1\r\nHost: h\r\n\r\n";

/** A request that must be refused, with the hidden one behind it. */
export interface Attempt {
  readonly why: string;
  readonly bytes: string;
  readonly status: number;
}

const line = "POST /services/logger/any/x HTTP/1.1\r\n";
const host = "Host: h\r\n";
const head = `${line}${host}`;
const attempt = (why: string, bytes: string, status = 400): Attempt => ({ why, bytes: bytes + smuggled, status });
const chunkedBody = "3\r\nabc\r\n0\r\n\r\n";

const lengths = [
  ["two lengths", "Content-Length: 0\r\nContent-Length: 56"],
  ["the same length twice", "Content-Length: 0\r\nContent-Length: 0"],
  ["a list of lengths", "Content-Length: 0, 0"],
  ["a length with a plus", "Content-Length: +0"],
  ["a length with a minus", "Content-Length: -1"],
  ["a length with a space in it", "Content-Length: 5 6"],
  ["a length in hexadecimal", "Content-Length: 0x0"],
  ["a length with an underscore", "Content-Length: 5_6"],
  ["an empty length", "Content-Length:"],
  ["a length of letters", "Content-Length: none"],
  ["a length beyond 64 bits", "Content-Length: 18446744073709551617"],
  ["a length with a vertical tab", "Content-Length: \v0"],
  ["length and chunked", "Content-Length: 5\r\nTransfer-Encoding: chunked"],
  ["chunked and length", "Transfer-Encoding: chunked\r\nContent-Length: 5"],
] as const;

const codings = [
  ["another coding", "Transfer-Encoding: xchunked"],
  ["chunked before identity", "Transfer-Encoding: chunked, identity"],
  ["identity before chunked", "Transfer-Encoding: identity, chunked"],
  ["gzip before chunked", "Transfer-Encoding: gzip, chunked"],
  ["identity", "Transfer-Encoding: identity"],
  ["chunked twice", "Transfer-Encoding: chunked, chunked"],
  ["chunked in two fields", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"],
  ["two codings in two fields", "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked"],
  ["a coding behind a vertical tab", "Transfer-Encoding: \vchunked"],
  ["a coding before a vertical tab", "Transfer-Encoding: chunked\v"],
  ["a coding in quotes", 'Transfer-Encoding: "chunked"'],
  ["a coding with a parameter", "Transfer-Encoding: chunked;a=b"],
  ["an empty coding", "Transfer-Encoding:"],
  ["a space before the colon", "Transfer-Encoding : chunked"],
  ["a tab before the colon", "Transfer-Encoding\t: chunked"],
  ["a coding on a folded line", "Transfer-Encoding:\r\n chunked"],
] as const;

const lines = [
  ["a folded line", "X-A: b\r\n c"],
  ["a line that begins with a space", " X-A: b"],
  ["a line without a colon", "X-A"],
  ["a field without a name", ": b"],
  ["NUL in a value", "X-A: b\0c"],
  ["NUL in a name", "X\0A: b"],
  ["a bare CR in a value", "X-A: b\rTransfer-Encoding: chunked"],
  ["a bare CR before the colon", "X-A\r: b"],
  ["a bare LF between fields", "X-A: b\nTransfer-Encoding: chunked"],
  ["a space in a name", "X A: b"],
  ["a bracket in a name", "X(A): b"],
  ["a name that is not ASCII", "X\u00e9: b"],
  ["DEL in a value", "X-A: b\u007fc"],
] as const;

const requestLines = [
  ["a space behind the version", "GET /services/logger/any/x HTTP/1.1 "],
  ["a space in front", " GET /services/logger/any/x HTTP/1.1"],
  ["a tab", "GET\t/services/logger/any/x HTTP/1.1"],
  ["a space in the target", "GET /services/logger/any/x y HTTP/1.1"],
  ["a small method", "get /services/logger/any/x HTTP/1.1"],
  ["a method in two parts", "GET\v /services/logger/any/x HTTP/1.1"],
  ["a small protocol", "GET /services/logger/any/x http/1.1"],
  ["another protocol", "GET /services/logger/any/x ICE/1.0"],
  ["a version with letters", "GET /services/logger/any/x HTTP/1.1x"],
  ["a version with zeros", "GET /services/logger/any/x HTTP/01.1"],
  ["an unknown version", "GET /services/logger/any/x HTTP/1.2"],
  ["absolute form", "GET http://h/services/logger/any/x HTTP/1.1"],
  ["no slash", "GET services/logger/any/x HTTP/1.1"],
  ["a fragment", "GET /services/logger/any/x#y HTTP/1.1"],
  ["an escaped line end that is none", "GET /services/logger/any/x\r HTTP/1.1"],
  ["bytes that are not ASCII", "GET /services/logger/any/caf\u00e9 HTTP/1.1"],
] as const;

const versions = [
  ["HTTP/2.0", "GET /services/logger/any/x HTTP/2.0"],
  ["no version", "GET /services/logger/any/x"],
  ["HTTP/0.9", "GET /services/logger/any/x HTTP/0.9"],
] as const;

const chunks = [
  ["a negative chunk size", "-1\r\nabc\r\n0\r\n\r\n"],
  ["a chunk size with a plus", "+3\r\nabc\r\n0\r\n\r\n"],
  ["a chunk size with 0x", "0x3\r\nabc\r\n0\r\n\r\n"],
  ["a chunk size with an underscore", "0_3\r\nabc\r\n0\r\n\r\n"],
  ["a space before a chunk size", " 3\r\nabc\r\n0\r\n\r\n"],
  ["an empty chunk size", "\r\nabc\r\n0\r\n\r\n"],
  ["a chunk size beyond 64 bits", "10000000000000003\r\nabc\r\n0\r\n\r\n"],
  ["a chunk that is longer than its size", "2\r\nabc\r\n0\r\n\r\n"],
  ["a chunk size that ends with LF", "3\nabc\r\n0\r\n\r\n"],
  ["a chunk that ends with LF", "3\r\nabc\n0\r\n\r\n"],
  ["a chunk extension with LF", "3;a\nabc\r\n0\r\n\r\n"],
  ["a chunk extension with CR", "3;a\rb\r\nabc\r\n0\r\n\r\n"],
  ["a chunk extension with NUL", "3;a\0\r\nabc\r\n0\r\n\r\n"],
  ["a last chunk that ends with LF", "3\r\nabc\r\n0\n\r\n"],
  ["trailers that end with LF", "3\r\nabc\r\n0\r\nX-A: b\n\r\n"],
  ["a length in the trailers", "3\r\nabc\r\n0\r\nContent-Length: 5\r\n\r\n"],
  ["a coding in the trailers", "3\r\nabc\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n"],
  ["a folded trailer", "3\r\nabc\r\n0\r\nX-A: b\r\n c\r\n\r\n"],
  ["a trailer without a colon", "3\r\nabc\r\n0\r\nX-A\r\n\r\n"],
] as const;

/** Requests of HTTP/1.1 that two programs could understand differently. */
export const attempts: readonly Attempt[] = [
  ...lengths.map(([why, fields]) => attempt(why, `${head}${fields}\r\n\r\n`)),
  ...codings.map(([why, fields]) => attempt(why, `${head}${fields}\r\n\r\n${chunkedBody}`)),
  ...lines.map(([why, fields]) => attempt(why, `${head}${fields}\r\n\r\n`)),
  ...requestLines.map(([why, first]) => attempt(why, `${first}\r\n${host}\r\n`)),
  ...versions.map(([why, first]) => attempt(why, `${first}\r\n${host}\r\n`, 505)),
  ...chunks.map(([why, body]) => attempt(why, `${head}Transfer-Encoding: chunked\r\n\r\n${body}`)),
  attempt("chunked over HTTP/1.0", `${head.replace("1.1", "1.0")}Transfer-Encoding: chunked\r\n\r\n${chunkedBody}`),
  attempt("no Host", `${line}\r\n`),
  attempt("two Hosts", `${head}Host: h\r\n\r\n`),
  attempt("two Hosts and a body", `${head}Host: i\r\nContent-Length: 3\r\n\r\nabc`),
  attempt("a list of Hosts", `${line}Host: h, i\r\n\r\n`),
  attempt("a user in Host", `${line}Host: u@h\r\n\r\n`),
  attempt("LF only", `${head}X-A: b\r\n\r\n`.replaceAll("\r\n", "\n")),
  attempt("LF at the end of the head", `${head}X-A: b\r\n\n`),
  attempt("LF behind the request line", `${head}\r\n`.replace("\r\n", "\n")),
  attempt("CR only", `${head}X-A: b\r\n\r\n`.replaceAll("\r\n", "\r")),
  attempt("CONNECT", `CONNECT h:80 HTTP/1.1\r\n${host}\r\n`, 501),
  attempt("TRACE", `TRACE /services/logger/any/x HTTP/1.1\r\n${host}\r\n`, 501),
  attempt("an expectation that nobody knows", `${head}Expect: tea\r\n\r\n`, 417),
  attempt("too many fields", `${head}${"X: y\r\n".repeat(200)}\r\n`, 431),
  attempt("a URL that is too long", `GET /services/logger/any/${"x".repeat(16_400)} HTTP/1.1\r\n${host}\r\n`, 414),
  attempt("a head that is too large", `${head}X-A: ${"y".repeat(33_000)}\r\n\r\n`, 431),
  attempt(
    "an upgrade with two Hosts",
    `GET /services/logger/any/x HTTP/1.1\r\n${host}Host: i\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n`,
  ),
  attempt(
    "an upgrade with a fragment",
    `GET /services/logger/any/x#y HTTP/1.1\r\n${host}Connection: upgrade\r\nUpgrade: websocket\r\n\r\n`,
  ),
  attempt(
    "an upgrade to h2c without a Host",
    `GET /services/logger/any/x HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n`,
  ),
];
