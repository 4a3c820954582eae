// Whole calls between two programs in TypeScript, typed client to implementation and back, with 32 in flight and one at a
// time. Each way has both cores for all of its processes: two where the call is direct, three where it goes through a host.
import { cores, freePorts, Programs } from "../lib/processes.mjs";
import { alternate } from "../lib/statistics.mjs";

export const title = "whole calls between two programs, typed clients";
export const tools = [];

const link = "plugin, host, plugin over links";
const ways = {
  [link]: "plugin-link",
  "plugin, host, plugin over HTTP/1.1": "plugin",
  "connect-es, HTTP/1.1, direct": "connect-http1",
  "connect-es, gRPC, direct": "connect-grpc",
  "grpc-js, direct": "grpc-js",
  "moleculer, TCP, untyped, direct": "moleculer",
};

async function start(programs, kind) {
  const ports = kind === "moleculer" ? await freePorts(2) : undefined;
  const hostUrl = kind.startsWith("plugin") ? (await programs.node(cores.both, "typed-host")).url : undefined;
  const { url } = await programs.node(cores.both, "typed-server", { kind, hostUrl, ports });
  return (await programs.node(cores.both, "typed-client", { kind, url, hostUrl, ports })).controlUrl;
}

async function callsPerSecond(controlUrl, inFlight, seconds) {
  const answer = await fetch(`${controlUrl}/?inFlight=${inFlight}&seconds=${seconds}`);
  const text = await answer.text();
  if (answer.status !== 200) throw new Error(text);
  return JSON.parse(text).callsPerSecond;
}

export async function run({ rounds, seconds }) {
  const programs = new Programs();
  try {
    const contestants = {};
    for (const [way, kind] of Object.entries(ways)) {
      const controlUrl = await start(programs, kind);
      // Programs on node are slow until their code is compiled.
      await callsPerSecond(controlUrl, 32, 4);
      contestants[`calls/s, ${way}`] = () => callsPerSecond(controlUrl, 32, Math.min(seconds, 2));
      contestants[`µs, ${way}`] = async () => 1e6 / (await callsPerSecond(controlUrl, 1, Math.min(seconds, 1)));
    }
    const values = await alternate(rounds, contestants);
    const against = (unit, one, other) => values[`${unit}, ${one}`].median / values[`${unit}, ${other}`].median;
    const [, , connect, , grpc, moleculer] = Object.keys(ways);
    return {
      unit: "",
      values,
      ratios: [
        { name: "calls/s, through the host / connect-es", ratio: against("calls/s", link, connect), atLeast: 12 },
        { name: "calls/s, through the host / moleculer", ratio: against("calls/s", link, moleculer), atLeast: 0.6 },
        { name: "µs, through the host / grpc-js", ratio: against("µs", link, grpc), atMost: 1 },
      ],
    };
  } finally {
    await programs.stop();
  }
}
