// One change of health to 1,000 watchers over RPC, until the last of them has it, against a bare loop of the same server
// that writes the same messages to as many open streams.
import assert from "node:assert/strict";
import { connect } from "node:net";
import { postJson } from "../lib/identity.mjs";
import { cores, cpuMs, Programs } from "../lib/processes.mjs";
import { alternate, median } from "../lib/statistics.mjs";

export const title = "one change to 1,000 watchers over RPC";
export const tools = [];

const watchers = 1_000;
const changesPerRound = 40;
const deadlineMs = 10_000;
const unavailable = { health: "HEALTH_STATE_UNHEALTHY", service: "SERVICE_STATE_UNAVAILABLE" };
const available = { health: "HEALTH_STATE_HEALTHY", service: "SERVICE_STATE_AVAILABLE" };

const envelope = (message) => {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
};

/** Open streams of Connect over HTTP/1.1, each on a socket of its own. */
class Watchers {
  #sockets = [];
  /** `{ text, left, resolve, reject }` of the change that everybody has to get. */
  #awaited;

  async open(url, headers, first) {
    const { hostname, port, pathname } = new URL(url);
    const body = envelope(Buffer.from('{"serviceType":"echo"}'));
    const type = "application/connect+json";
    const fields = { host: `${hostname}:${port}`, "content-type": type, ...headers, "content-length": body.length };
    const lines = Object.entries(fields).map((field) => `${field.join(": ")}\r\n`);
    const request = Buffer.concat([Buffer.from(`POST ${pathname} HTTP/1.1\r\n${lines.join("")}\r\n`), body]);
    await this.everybodyGets(first, () => {
      for (let index = 0; index < watchers; index++) this.#dial({ host: hostname, port: Number(port) }, request);
    });
  }

  /** Milliseconds from `change()` until `text` has come on every stream. */
  async everybodyGets(text, change) {
    let timer;
    const begin = performance.now();
    const told = new Promise((resolve, reject) => {
      this.#awaited = { text: Buffer.from(text), left: watchers, resolve, reject };
      timer = setTimeout(() => reject(new Error(`${this.#awaited.left} watchers did not get ${text}`)), deadlineMs);
    }).then(() => performance.now() - begin);
    try {
      const [ms] = await Promise.all([told, change()]);
      return ms;
    } finally {
      clearTimeout(timer);
    }
  }

  /** The message that comes next on the first stream, as JSON. */
  async next() {
    const data = await new Promise((resolve) => this.#sockets[0].once("data", resolve));
    return data.subarray(data.indexOf("{"), data.lastIndexOf("}") + 1);
  }

  close() {
    for (const socket of this.#sockets) socket.removeAllListeners("close").destroy();
  }

  #dial(target, request) {
    const socket = connect(target);
    this.#sockets.push(socket);
    let last;
    socket.on("data", (data) => {
      const awaited = this.#awaited;
      if (last === awaited || !data.includes(awaited.text)) return;
      last = awaited;
      if (--awaited.left === 0) awaited.resolve();
    });
    socket.on("error", (error) => this.#awaited.reject(error));
    socket.on("close", () => this.#awaited.reject(new Error("a watch was closed")));
    socket.write(request);
  }
}

export async function run({ rounds }) {
  const programs = new Programs();
  const host = new Watchers();
  const bare = new Watchers();
  try {
    const { pid, url, bareUrl, provider, caller } = await programs.node(cores.measured, "watch");
    const watch = "/connectplugin.v1.ServiceRegistry/WatchService";
    const report = ({ health }) =>
      postJson(`${url}/connectplugin.v1.PluginLifecycle/ReportHealth`, { state: health, reason: "" }, provider.headers);
    await host.open(url + watch, caller.headers, available.service);
    await bare.open(bareUrl + watch, caller.headers, "{}");
    const messages = new Map();
    for (const state of [unavailable, available]) {
      const next = host.next();
      await host.everybodyGets(state.service, () => report(state));
      const message = await next;
      assert.equal(JSON.parse(message).state, state.service);
      messages.set(state, envelope(message));
    }
    const write = async (state) => {
      const answer = await fetch(`${bareUrl}/change`, { method: "POST", body: messages.get(state) });
      assert.equal(await answer.text(), "{}");
    };
    const costs = {};
    const contestant = (name, streams, change) => async () => {
      const times = [];
      const before = cpuMs(pid);
      for (let index = 0; index < changesPerRound; index++) {
        const state = index % 2 === 0 ? unavailable : available;
        times.push(await streams.everybodyGets(state.service, () => change(state)));
      }
      costs[name] = [...(costs[name] ?? []), (cpuMs(pid) - before) / changesPerRound];
      return median(times);
    };
    const contestants = { host: contestant("host", host, report), "bare loop": contestant("bare loop", bare, write) };
    // Programs on node are slow until their code is compiled.
    for (const measure of Object.values(contestants)) await measure();
    for (const name of Object.keys(costs)) costs[name] = [];
    const values = await alternate(rounds, contestants);
    return {
      unit: "ms",
      values: {
        ...values,
        ...Object.fromEntries(
          Object.entries(costs).map(([name, list]) => [`CPU, ${name}`, { median: median(list), values: list }]),
        ),
      },
      ratios: [
        { name: "host / bare loop", ratio: values.host.median / values["bare loop"].median, atMost: 2 },
        { name: "CPU of the host / CPU of the bare loop", ratio: median(costs.host) / median(costs["bare loop"]) },
      ],
    };
  } finally {
    host.close();
    bare.close();
    await programs.stop();
  }
}
