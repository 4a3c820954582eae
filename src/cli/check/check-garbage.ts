import { once } from "node:events";
import { connect } from "node:net";
import { setTimeout as after } from "node:timers/promises";
import { answerText } from "./plugin-http.js";
import { procedures, type Subject, textOf } from "./subject.js";

/** What is sent raw, each on a connection that is cut off afterwards. */
const garbage: readonly (readonly [what: string, bytes: string])[] = [
  ["bytes that are no HTTP", "\u0000\u0001\u00ff\u00fe not http at all\r\n\r\n"],
  ["a TLS greeting", "\u0016\u0003\u0001\u0002\u0000\u0001\u0000\u0001\u00fc\u0003\u0003"],
  ["a request that breaks off in its head", `POST ${procedures.health} HTTP/1.1\r\nHost: 127.0`],
  [
    "a request that breaks off in its body",
    `POST ${procedures.health} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"a`,
  ],
  [
    "a length that is no number",
    `POST ${procedures.health} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: many\r\n\r\n{}`,
  ],
  [
    "a chunk whose size is no number",
    `POST ${procedures.health} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n{}`,
  ],
  ["a head of 200,000 bytes", `GET / HTTP/1.1\r\nHost: a\r\nX-Long: ${"a".repeat(200_000)}\r\n\r\n`],
];

/** How long the plugin may take to answer garbage, or to close the connection, before the check does. */
const patienceMs = 100;

/** Sends what no proper caller sends, and looks whether the plugin still answers afterwards. */
export async function checkGarbage({ http, report, probe }: Subject): Promise<void> {
  if (new URL(http.url).protocol !== "http:") {
    report.skip("W-1.17", "over TLS the check sends proper requests only");
    return;
  }
  const path = probe ?? procedures.info;
  try {
    await http.ask(path);
  } catch (error) {
    return report.failWith("W-1.17", error);
  }
  for (const [what, bytes] of garbage) {
    try {
      await throwAt(http.url, bytes);
      const answer = await http.ask(path);
      const isSame = probe === undefined || answer.status === 200;
      if (!isSame) return report.fail("W-1.17", `after ${what}: ${answerText(answer)}`);
    } catch (error) {
      return report.fail("W-1.17", `after ${what}: ${textOf(error)}`);
    }
  }
  report.pass("W-1.17", `${garbage.length} kinds`);
}

async function throwAt(url: string, bytes: string): Promise<void> {
  const { hostname, port } = new URL(url);
  const socket = connect({ host: hostname.replace(/^\[|\]$/g, ""), port: Number(port === "" ? 80 : port) });
  socket.on("error", () => {});
  socket.resume();
  const closed = once(socket, "close").catch(() => undefined);
  socket.write(Buffer.from(bytes, "latin1"));
  const done = new AbortController();
  await Promise.race([closed, after(patienceMs, undefined, { signal: done.signal }).catch(() => undefined)]);
  done.abort();
  socket.destroy();
}
