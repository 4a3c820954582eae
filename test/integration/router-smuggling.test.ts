import { describe, expect, test } from "vitest";
import { attempts, smuggled } from "../support/hostile-heads.js";
import { exchangeBytes, startCall, within } from "../support/http-server.js";
import { startRecorder } from "../support/recorder.js";
import { pluginRecord, startRouter } from "../support/router-host.js";

const isHidden = ({ path }: { readonly path: string }): boolean => path.includes("smuggled");

describe.each(["h1", "h2c"] as const)("with a provider over %s", (protocol) => {
  test.each(attempts)("$why is answered with $status, and nothing behind it is served", async ({ bytes, status }) => {
    await using recorder = await startRecorder(protocol);
    await using host = await startRouter();
    host.view.add(pluginRecord({ address: recorder.provider.address(recorder.protocols) }));
    const call = async (path: string) => {
      using started = startCall(host, "1.1", { method: "GET", path: `/services/logger/any${path}` });
      started.request.end();
      expect((await within(5_000, path, started.answer())).status).toBe(200);
    };
    // With a connection to the provider at hand, whatever is let through gets there at once.
    await call("/before");
    const answer = await within(5_000, "closing", exchangeBytes(host.connect("tcp"), bytes));
    expect(answer.slice(0, 80)).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    expect(answer.toLowerCase()).toContain("connection: close\r\n");
    expect(answer.match(/HTTP\/1\.1 \d/g)).toHaveLength(1);
    // A call of somebody else comes behind whatever might still be on its way to the provider.
    await call("/after");
    expect(recorder.seen.filter(isHidden)).toEqual([]);
    expect(recorder.seen.filter(({ complete }) => complete).map(({ path }) => path)).toEqual(["/before", "/after"]);
    expect(host.errors).toEqual([]);
  });
});

/** Sends a request and returns what the provider saw, when the connection is closed. */
async function seenOf(protocol: "h1" | "h2c", bytes: string) {
  await using recorder = await startRecorder(protocol);
  await using host = await startRouter();
  host.view.add(pluginRecord({ address: recorder.provider.address(recorder.protocols) }));
  const answer = await within(5_000, "closing", exchangeBytes(host.connect("tcp"), bytes));
  return { answer, seen: recorder.seen };
}

describe.each(["h1", "h2c"] as const)("what is odd and allowed means the same to a provider over %s", (protocol) => {
  const close = "Host: h\r\nConnection: close\r\n";
  const to = "/services/logger/any/x HTTP/1.1\r\n";

  test.each([
    [
      "a length that Connection names",
      `GET ${to}Host: h\r\nConnection: close, content-length\r\nContent-Length: ${smuggled.length}\r\n\r\n${smuggled}`,
      smuggled,
    ],
    [
      "an upgrade with a body",
      `POST ${to}Host: h\r\nConnection: close, upgrade\r\nUpgrade: websocket\r\nContent-Length: ${smuggled.length}\r\n\r\n${smuggled}`,
      smuggled,
    ],
    [
      "an upgrade of another method",
      `POST ${to}Host: h\r\nConnection: close, upgrade\r\nUpgrade: websocket\r\n\r\n`,
      "",
    ],
    [
      "chunks with extensions and zeros",
      `POST ${to}${close}Transfer-Encoding: chunked\r\n\r\n003;a="b;c"\r\nabc\r\nA\r\n0123456789\r\n00\r\n\r\n`,
      "abc0123456789",
    ],
    ["a coding in capitals", `POST ${to}${close}TRANSFER-ENCODING: CHUNKED\r\n\r\n1\r\na\r\n0\r\n\r\n`, "a"],
    [
      "a Host in the trailers",
      `POST ${to}${close}Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nHost: i\r\n\r\n`,
      "a",
    ],
    [
      "a field that looks like a coding",
      `POST ${to}${close}Transfer_Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc`,
      "abc",
    ],
    [
      "spaces in the request line",
      `POST  /services/logger/any/x  HTTP/1.1\r\n${close}Content-Length: 3\r\n\r\nabc`,
      "abc",
    ],
  ])("%s", async (_why, bytes, body) => {
    const { answer, seen } = await seenOf(protocol, bytes);
    expect(answer).toMatch(/^HTTP\/1.1 200 /);
    expect(seen).toMatchObject([{ method: bytes.split(" ")[0], path: "/x", body, complete: true }]);
  });
});
