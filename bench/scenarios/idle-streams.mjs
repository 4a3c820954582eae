// Thousands of answers that stay open without anything on them: what each takes in the router's memory.
import assert from "node:assert/strict";
import http2 from "node:http2";
import { connect } from "node:net";
import { collectedMemory, openFilesLimit } from "../lib/memory.mjs";
import { cores, Programs } from "../lib/processes.mjs";
import { alternate } from "../lib/statistics.mjs";

export const title = "idle streams: 8,000 over HTTP/1.1, 10,000 over ten HTTP/2 connections";
export const tools = [];

// Each takes two files of the router, and others need some as well.
const http1Streams = Math.min(8_000, Math.floor((openFilesLimit() - 2_000) / 2));
const http2Streams = 10_000;
const sessionCount = 10;
const waveSize = 250;
const deadlineMs = 30_000;

/** Streams of one protocol that a caller holds open, and how many lines came on them. */
class Held {
  #ends = [];
  #lines = 0;
  #reached = () => {};
  #failed = () => {};

  /** Called with the text that came on any of the streams. */
  got(text) {
    for (let at = text.indexOf("\n"); at !== -1; at = text.indexOf("\n", at + 1)) this.#lines += 1;
    this.#reached();
  }

  lost(error) {
    this.#failed(error ?? new Error("a stream was closed"));
  }

  endsWith(end) {
    this.#ends.push(end);
  }

  /** Resolves when so many lines have come in all. */
  async lines(count) {
    let timer;
    try {
      await new Promise((resolve, reject) => {
        timer = setTimeout(() => reject(new Error(`${this.#lines} of ${count} lines came`)), deadlineMs);
        this.#failed = reject;
        this.#reached = () => this.#lines >= count && resolve();
        this.#reached();
      });
    } finally {
      clearTimeout(timer);
    }
    assert.equal(this.#lines, count);
  }

  close() {
    this.lost = () => {};
    for (const end of this.#ends) end();
  }
}

/** Reads the body of an answer in chunks; each line comes in a chunk of its own. */
function http1Stream(held, url, headers) {
  const { hostname, port, pathname } = new URL(url);
  const lines = Object.entries({ host: `${hostname}:${port}`, ...headers }).map((field) => `${field.join(": ")}\r\n`);
  const socket = connect({ host: hostname, port: Number(port) }).setEncoding("latin1");
  socket.write(`GET ${pathname} HTTP/1.1\r\n${lines.join("")}\r\n`);
  let inBody = false;
  let head = "";
  socket.on("data", (text) => {
    if (inBody) return held.got(text.replaceAll("\r\n", ""));
    head += text;
    const end = head.indexOf("\r\n\r\n");
    if (end === -1) return;
    if (!head.startsWith("HTTP/1.1 200 ")) return held.lost(new Error(head));
    inBody = true;
    held.got(head.slice(end + 4).replaceAll("\r\n", ""));
  });
  socket.on("error", (error) => held.lost(error));
  socket.on("close", () => held.lost());
  held.endsWith(() => socket.destroy());
}

async function openHttp1(url, headers, count) {
  const held = new Held();
  for (let opened = 0; opened < count; ) {
    for (let index = 0; index < waveSize && opened < count; index++, opened++) http1Stream(held, url, headers);
    await held.lines(opened);
  }
  return held;
}

async function openHttp2(url, headers, count) {
  const held = new Held();
  const { origin, pathname } = new URL(url);
  const sessions = await Promise.all(
    Array.from({ length: sessionCount }, async () => {
      const session = http2.connect(origin);
      session.on("error", (error) => held.lost(error));
      held.endsWith(() => session.destroy());
      await new Promise((resolve) => session.once("remoteSettings", resolve));
      return session;
    }),
  );
  for (let opened = 0; opened < count; ) {
    for (let index = 0; index < waveSize && opened < count; index++, opened++) {
      const stream = sessions[opened % sessionCount].request({ ":path": pathname, ...headers });
      stream.setEncoding("latin1");
      stream.on(
        "response",
        (fields) => fields[":status"] === 200 || held.lost(new Error(`status ${fields[":status"]}`)),
      );
      stream.on("data", (text) => held.got(text));
      stream.on("error", (error) => held.lost(error));
      stream.on("close", () => held.lost());
    }
    await held.lines(opened);
  }
  return held;
}

/** Resolves when the provider has seen that all of its streams have been given up. */
const closed = ({ controlUrl }) => fetch(`${controlUrl}/closed`, { signal: AbortSignal.timeout(deadlineMs) });

/** Heap in use once it does not become smaller any more: connections are taken apart some time after they have ended. */
async function settledHeap(memoryUrl) {
  let last = Number.POSITIVE_INFINITY;
  for (;;) {
    const { heapUsed } = await collectedMemory(memoryUrl);
    if (heapUsed > last * 0.98) return heapUsed;
    last = heapUsed;
    await new Promise((resolve) => setTimeout(resolve, 1_000));
  }
}

/** Opens the streams and returns KiB that each takes, and what is left of them when they are closed. */
async function once(protocol, open, count) {
  const programs = new Programs();
  try {
    const provider = await programs.node(cores.load, "held-provider", { protocol });
    const router = await programs.node(cores.measured, "router", {
      providerPort: provider.port,
      protocols: protocol,
      router: { maxInFlightPerProvider: 2 * count },
      memory: true,
    });
    const url = `${router.url}/services/echo/${router.providerId}/held`;
    const { headers } = router.caller;
    // Loads and compiles what such calls need.
    const warm = await open(url, headers, 500);
    warm.close();
    await closed(provider);
    const before = await collectedMemory(router.memoryUrl);
    const held = await open(url, headers, count);
    const during = await collectedMemory(router.memoryUrl);
    assert.equal(await (await fetch(provider.controlUrl)).text(), String(count));
    await held.lines(2 * count);
    held.close();
    await closed(provider);
    const after = await settledHeap(router.memoryUrl);
    const each = (bytes) => bytes / count / 1024;
    return {
      resident: each(during.rss - before.rss),
      heap: each(during.heapUsed - before.heapUsed),
      left: each(after - before.heapUsed),
    };
  } finally {
    await programs.stop();
  }
}

export async function run({ rounds }) {
  const kinds = {
    "HTTP/1.1": () => once("h1", openHttp1, http1Streams),
    "HTTP/2": () => once("h2c", openHttp2, http2Streams),
  };
  const contestants = {};
  for (const [kind, measure] of Object.entries(kinds)) {
    let last;
    contestants[`KiB each, ${kind}`] = async () => {
      last = await measure();
      return last.resident;
    };
    contestants[`KiB each, ${kind}, of it heap`] = () => last.heap;
    contestants[`KiB each of heap once closed, ${kind}`] = () => last.left;
  }
  const values = await alternate(rounds, contestants);
  const one = (value) => ({ median: value, values: [value] });
  return {
    unit: "",
    values: { "streams, HTTP/1.1": one(http1Streams), "streams, HTTP/2": one(http2Streams), ...values },
    ratios: Object.keys(kinds).map((kind) => ({
      name: `memory each / 40 KiB, ${kind}`,
      ratio: values[`KiB each, ${kind}`].median / 40,
      atMost: 1,
    })),
  };
}
