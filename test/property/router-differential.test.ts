import net from "node:net";
import fc from "fast-check";
import { expect, test } from "vitest";
import { exchangeBytes, within } from "../support/http-server.js";
import { type SeenRequest, startRecorder } from "../support/recorder.js";
import { pluginRecord, startRouter } from "../support/router-host.js";

/** A piece of a request, and whether a request of only such pieces has to be served. */
interface Piece {
  readonly text: string;
  readonly fine: boolean;
}
const fine = (...texts: string[]): fc.Arbitrary<Piece> =>
  fc.constantFrom(...texts.map((text) => ({ text, fine: true })));
const odd = (...texts: string[]): fc.Arbitrary<Piece> =>
  fc.constantFrom(...texts.map((text) => ({ text, fine: false })));
/** Mostly fine, so that requests of many pieces are served often enough. */
const mostly = (good: fc.Arbitrary<Piece>, bad: fc.Arbitrary<Piece>): fc.Arbitrary<Piece> =>
  fc.oneof({ weight: 12, arbitrary: good }, { weight: 1, arbitrary: bad });

const method = mostly(
  fine("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "M-SEARCH"),
  odd("get", "TRACE", "CONNECT", "PRI", "X", "", "G\vT", "GET "),
);
// What stands for the path is put in later, so that each request has a path of its own.
const target = mostly(
  fine("@", "@?a=%20b&c", "@?%zz", "@?a=[]|^`{}", "@;a=b,c", "@/%F0%9F%98%80", "@?http://x/", "@//"),
  odd(
    "@#f",
    "http://h@",
    "@ b",
    "@\t",
    "@\x7f",
    "@\xe9",
    "@\r",
    "*",
    "h:80",
    "@/../y",
    "@/%2e%2e/y",
    "@\\y",
    "@%00",
    "@/%zz",
    " @",
  ),
);
const version = mostly(
  fine("HTTP/1.1"),
  odd("HTTP/1.0", "HTTP/2.0", "HTTP/1.2", "http/1.1", "HTTP/1.1 ", "HTTP/11", "", "HTTP/0.9"),
);
const lineEnd = mostly(fine("\r\n"), odd("\n", "\r", "\n\r", "\r\n ", "\r\r\n"));
const host = mostly(
  fine("Host: h", "hOST:h:80", "Host:  h\t"),
  odd("X: y", "Host: h\r\nHost: h", "Host: a, b", "Host:", "Host : h"),
);
const field = mostly(
  fine(
    "X-A: b",
    "x-a:c",
    "X-B:",
    "X-B: \t d e \t",
    "X-C: caf\xe9 \xff",
    'X-D: "a, b", c',
    "X_E: f",
    "Content-Type: a/b",
    "Connection: keep-alive",
    "X-!#$%&'*+.^_`|~: 1",
    "Te: trailers",
    "Accept: */*",
  ),
  odd(
    "X-A: a\0",
    "X-A: a\x01",
    "X-A: a\rb",
    "X-A: a\nX-B: c",
    "X-A : b",
    " X-A: b",
    "X-A",
    ": a",
    "X\xe9: a",
    "X(: a",
    "Upgrade: h2c",
    "Upgrade: websocket",
    "Connection: content-length",
    "Connection: transfer-encoding, host, te",
    "Connection: close",
    "Expect: 100-continue",
    "Expect: tea",
    "Content-Length: 1",
    "Content-Length: 0",
    "Transfer-Encoding: chunked",
    "Trailer: X-A, Content-Length",
  ),
);

const text = fc.stringMatching(/^[\x20-\x7e\r\n]{0,40}$/);
const chunked = (chunks: readonly string[], trailers = ""): string =>
  `${chunks.map((chunk) => `${chunk.length.toString(16)}\r\n${chunk}\r\n`).join("")}0\r\n${trailers}\r\n`;
const nonEmpty = fc.array(
  text.filter((chunk) => chunk !== ""),
  { maxLength: 3 },
);
/** The framing fields with their line ends, an empty line, and the body. */
const framing: fc.Arbitrary<Piece> = fc.oneof(
  { weight: 4, arbitrary: fine("\r\n") },
  {
    weight: 4,
    arbitrary: text.map((body) => ({ text: `Content-Length: ${body.length}\r\n\r\n${body}`, fine: true })),
  },
  {
    weight: 4,
    arbitrary: nonEmpty.map((chunks) => ({ text: `Transfer-Encoding: chunked\r\n\r\n${chunked(chunks)}`, fine: true })),
  },
  {
    weight: 2,
    arbitrary: fine(
      "Transfer-Encoding: Chunked\r\n\r\n0003;ext=1\r\nabc\r\n000\r\n\r\n",
      "Transfer-Encoding: \tchunked\r\n\r\nA\r\n0123456789\r\n0\r\nX-T: v\r\n\r\n",
      "Content-Length: 003\r\n\r\nabc",
      "TRANSFER-ENCODING:chunked\r\n\r\n0\r\nHost: i\r\nX-A: b\r\n\r\n",
    ),
  },
  {
    weight: 3,
    arbitrary: odd(
      "Content-Length: 7\r\nContent-Length: 7\r\n\r\n",
      "Content-Length: 7, 7\r\n\r\n",
      "Content-Length: +7\r\n\r\n",
      "Content-Length: 7 \r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
      "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
      "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
      "Transfer-Encoding: chunked\r\n\r\n-3\r\nabc\r\n0\r\n\r\n",
      "Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
      "Transfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n",
      "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX\r\n\r\n",
      "Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 5\r\n\r\n",
      "Transfer-Encoding: chunked\r\n\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n",
      "Content-Length: 20\r\n\r\nshort",
      "\n",
      "X: y\n\n",
    ),
  },
);

interface Given {
  readonly text: string;
  readonly fine: boolean;
}
const request: fc.Arbitrary<Given> = fc
  .tuple(method, target, version, lineEnd, host, fc.array(field, { maxLength: 3 }), framing)
  .map(([m, t, v, e, h, fields, body]) => ({
    text: `${m.text} ${t.text} ${v.text}${e.text}${[h, ...fields].map((piece) => `${piece.text}\r\n`).join("")}${body.text}`,
    fine: [m, t, v, e, h, ...fields, body].every((piece) => piece.fine),
  }));

const prefix = "/services/logger/any";

/** What must be the same, whichever way a request came. */
const meaning = ({ method, path, fields, body }: SeenRequest) => {
  const passed: Record<string, string> = {};
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] as string;
    if (!/^(x-[a-e!]|x_|content-type|accept)/.test(name)) continue;
    // Of a field that may come once only the first counts, and only HTTP/1.1 can repeat it.
    if (name === "content-type") passed[name] ??= fields[i + 1] as string;
    else passed[name] = passed[name] === undefined ? (fields[i + 1] as string) : `${passed[name]}, ${fields[i + 1]}`;
  }
  return JSON.stringify({ method, path: path.replace(prefix, ""), passed, body });
};

test.each(["h1", "h2c"] as const)(
  "a provider over %s gets what node:http would have got, or nothing, and all that is beyond doubt",
  async (protocol) => {
    await using direct = await startRecorder("h1");
    await using behind = await startRecorder(protocol);
    await using host = await startRouter();
    host.view.add(pluginRecord({ address: behind.provider.address(behind.protocols) }));
    const counts = { served: 0, refused: 0 };
    let run = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(request, { minLength: 1, maxLength: 3 }), async (requests) => {
        const own = `/r${run++}`;
        const bytes = requests.map(({ text }, i) => text.replace("@", `${prefix}${own}/${i}`)).join("");
        const allFine = requests.every((each) => each.fine);
        const last = `GET ${prefix}${own}/last HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n`;
        // Zeros are the rest of a body, or a fault where anything else is waited for, so that no connection stays open.
        const sent = bytes + last + (allFine ? "" : "\0".repeat(300));
        await within(5_000, "node:http", exchangeBytes(net.connect(direct.provider.port, "127.0.0.1"), sent));
        await within(5_000, "the router", exchangeBytes(host.connect("tcp"), sent));
        const seenBy = (seen: SeenRequest[]): string[] =>
          seen.filter(({ path, complete }) => complete && path.includes(`${own}/`)).map(meaning);
        // Requests that came on one connection may go out over several, so their order is not kept.
        const reference = seenBy(direct.seen).sort();
        const routed = seenBy(behind.seen).sort();
        expect(reference, JSON.stringify(bytes)).toEqual(expect.arrayContaining(routed));
        expect(new Set(routed).size).toBe(routed.length);
        counts.served += routed.length;
        if (!allFine) counts.refused += reference.length - routed.length;
        else expect(routed, JSON.stringify(bytes)).toEqual(reference);
        direct.seen.length = 0;
      }),
      { numRuns: 300 },
    );
    expect(counts.served).toBeGreaterThan(150);
    expect(counts.refused).toBeGreaterThan(5);
    expect(host.errors).toEqual([]);
  },
  20_000,
);
