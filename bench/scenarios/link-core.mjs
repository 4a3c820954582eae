// Calls over the link without anything around it: no host, no protobuf, no promises.
import {
  dial,
  echoOrSink,
  linkSession,
  memoryTransports,
  streamRate,
  unaryMicroseconds,
  unaryRate,
} from "../lib/link-load.mjs";
import { cores, cpuMs, Programs } from "../lib/processes.mjs";
import { alternate, median } from "../lib/statistics.mjs";

export const title = "The link alone: echo of 26 bytes, 32 in flight";
export const tools = [];

async function inMemory() {
  const [one, other] = memoryTransports();
  const acceptor = linkSession("acceptor", other, { onCall: echoOrSink });
  const dialler = await linkSession("dialler", one);
  await acceptor;
  return dialler;
}

export async function run({ rounds, seconds }) {
  const programs = new Programs();
  try {
    const sessions = { "in memory": { session: await inMemory() } };
    for (const kind of ["tcp", "ws"]) {
      const direct = await programs.node(cores.measured, "link-provider", { kind });
      const behind = await programs.node(cores.load, "link-provider", { kind });
      const forwarder = await programs.node(cores.measured, "link-forwarder", { kind, providerPort: behind.port });
      for (const [name, { port, pid }] of [
        [kind, direct],
        [`${kind}, forwarded`, forwarder],
      ]) {
        sessions[name] = { session: await linkSession("dialler", await dial(kind, port)), pid };
      }
    }
    const costs = {};
    const rate =
      (name, { session, pid }) =>
      async () => {
        const before = pid === undefined ? 0 : cpuMs(pid);
        const perSecond = await unaryRate(session, 32, seconds);
        if (pid !== undefined) {
          costs[name] = [...(costs[name] ?? []), ((cpuMs(pid) - before) * 1_000) / (perSecond * seconds)];
        }
        return perSecond;
      };
    const entries = Object.entries(sessions);
    // Code is slow until it is compiled.
    for (const [, { session }] of entries) await unaryRate(session, 32, 1);
    const rates = await alternate(rounds, Object.fromEntries(entries.map(([name, it]) => [name, rate(name, it)])));
    const latencies = await alternate(
      rounds,
      Object.fromEntries(entries.map(([name, { session }]) => [name, () => unaryMicroseconds(session, seconds / 2)])),
    );
    const streams = await alternate(
      rounds,
      Object.fromEntries(entries.map(([name, { session }]) => [name, () => streamRate(session, 256)])),
    );
    const named = (prefix, values) =>
      Object.fromEntries(Object.entries(values).map(([name, value]) => [`${prefix}, ${name}`, value]));
    const result = {
      unit: "",
      values: {
        ...named("calls/s", rates),
        ...named(
          "CPU µs a call at the other end",
          mapValues(costs, (values) => ({ median: median(values), values })),
        ),
        ...named("µs, one at a time", latencies),
        ...named("MiB/s of one stream", streams),
      },
      ratios: [
        { name: "ws / tcp", ratio: rates.ws.median / rates.tcp.median },
        { name: "ws, forwarded / ws", ratio: rates["ws, forwarded"].median / rates.ws.median },
      ],
    };
    for (const { session } of Object.values(sessions)) session.close();
    return result;
  } finally {
    await programs.stop();
  }
}

const mapValues = (object, map) =>
  Object.fromEntries(Object.entries(object).map(([name, value]) => [name, map(value)]));
