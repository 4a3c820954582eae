// What the router and nginx add to the latency of a call at 1,000 calls a second: far below what either can do, so that
// nothing waits in line. The callers' own time is in all figures and drops out of the differences.
import http2 from "node:http2";
import { Http1Calls, paced } from "../lib/paced.mjs";
import { nginxGrpc, nginxHttp1, nginxProvider } from "../lib/peers.mjs";
import { cores, freePorts, moveTo, Programs } from "../lib/processes.mjs";
import { alternate, median } from "../lib/statistics.mjs";

export const title = "added latency at 1,000 calls a second";
export const tools = ["nginx"];

const perSecond = 1_000;
/** Eighty calls of each round are slower than its p99: with twenty it is mostly chance. */
const measuredSeconds = 8;
/** A host that was idle while others were measured has made its heap small, and needs a while until it has grown again. */
const warmUpSeconds = 3;
/** Differences below this are not told from the noise. */
const leastMicros = 5;
const message = '{"message":"hello world!"}';
const grpcMessage = Buffer.concat([Buffer.from([0, 0, 0, 0, message.length]), Buffer.from(message)]);

/** gRPC calls over four connections. */
class GrpcCalls {
  #sessions;
  #headers;
  #next = 0;

  constructor({ url, headers }) {
    const { origin, pathname } = new URL(url);
    this.#sessions = Array.from({ length: 4 }, () => http2.connect(origin));
    const type = { "content-type": "application/grpc+json", te: "trailers" };
    this.#headers = { ":method": "POST", ":path": pathname, ...type, ...headers };
  }

  call() {
    const session = this.#sessions[this.#next++ % this.#sessions.length];
    return new Promise((resolve, reject) => {
      const stream = session.request(this.#headers);
      let bytes = 0;
      let status;
      stream.on("data", (chunk) => (bytes += chunk.length));
      stream.once("trailers", (trailers) => (status = trailers["grpc-status"]));
      stream.once("error", reject);
      stream.once("end", () => {
        if (status === "0" && bytes === grpcMessage.length) resolve();
        else reject(new Error(`a gRPC call ended with status ${status} and ${bytes} bytes`));
      });
      stream.end(grpcMessage);
    });
  }

  close() {
    for (const session of this.#sessions) session.destroy();
  }
}

/** The places of one protocol, each as a URL. `least` is how far a proxy behind Node's own HTTP/1.1 server can get. */
async function places(programs, protocol) {
  let providerPort;
  if (protocol === "gRPC") providerPort = (await programs.node(cores.load, "grpc-provider")).port;
  else {
    [providerPort] = await freePorts(1);
    await nginxProvider(programs, providerPort, message);
  }
  const [nginxPort] = await freePorts(1);
  await (protocol === "gRPC" ? nginxGrpc : nginxHttp1)(programs, nginxPort, providerPort);
  const protocols = protocol === "gRPC" ? "h2c" : "h1";
  const router = await programs.node(cores.measured, "router", { providerPort, protocols });
  const path = `/services/echo/${router.providerId}/echo.v1.Echo/Say`;
  const least =
    protocol === "gRPC"
      ? undefined
      : await programs.node(cores.measured, "least-proxy", { providerPort, answer: message });
  return {
    headers: router.caller.headers,
    urls: {
      direct: `http://127.0.0.1:${providerPort}/echo.v1.Echo/Say`,
      nginx: `http://127.0.0.1:${nginxPort}${path}`,
      router: router.url + path,
      ...(least !== undefined && { least: least.url + path }),
    },
  };
}

export async function run({ rounds }) {
  const programs = new Programs();
  const calls = {};
  const letGo = moveTo(cores.load);
  try {
    for (const protocol of ["HTTP/1.1", "gRPC"]) {
      const { headers, urls } = await places(programs, protocol);
      for (const [place, url] of Object.entries(urls)) {
        calls[`${protocol} ${place}`] =
          protocol === "gRPC"
            ? new GrpcCalls({ url, headers })
            : new Http1Calls({
                url,
                headers: { "content-type": "application/json", ...headers },
                body: message,
                answer: message,
              });
      }
    }
    const contestants = {};
    for (const [name, one] of Object.entries(calls)) {
      await one.call();
      // Programs on node are slow until their code is compiled, and at this rate that takes ten thousand calls.
      await paced({ perSecond: 2_000, seconds: 5, call: () => one.call() });
      let last;
      contestants[`p50, ${name}`] = async () => {
        last = await paced({ perSecond, seconds: measuredSeconds, warmUpSeconds, call: () => one.call() });
        return last.p50;
      };
      contestants[`p99, ${name}`] = () => last.p99;
    }
    const values = await alternate(rounds, contestants);
    // Pairs of the same round, so that a slow minute of the machine is in both.
    const added = {};
    for (const [name, { values: times }] of Object.entries(values)) {
      const direct = values[name.replace(/ \w+$/, " direct")].values;
      const differences = times.map((time, round) => time - direct[round]);
      if (!name.endsWith(" direct")) added[`added ${name}`] = { median: median(differences), values: differences };
    }
    const ratio = (protocol, share, place, peer) => {
      const micros = (of) => Math.max(added[`added ${share}, ${protocol} ${of}`].median, leastMicros);
      return micros(place) / micros(peer);
    };
    const whole = (share) => values[`${share}, gRPC router`].median / values[`${share}, gRPC nginx`].median;
    return {
      unit: "µs",
      values: { ...values, ...added },
      ratios: [
        { name: "added p50, HTTP/1.1, router / nginx", ratio: ratio("HTTP/1.1", "p50", "router", "nginx"), atMost: 2 },
        { name: "added p99, HTTP/1.1, router / nginx", ratio: ratio("HTTP/1.1", "p99", "router", "nginx"), atMost: 3 },
        // What Node's own server in front of callers leaves within reach.
        {
          name: "added p50, HTTP/1.1, least behind node:http / nginx",
          ratio: ratio("HTTP/1.1", "p50", "least", "nginx"),
        },
        {
          name: "added p99, HTTP/1.1, least behind node:http / nginx",
          ratio: ratio("HTTP/1.1", "p99", "least", "nginx"),
        },
        // Whole calls: nginx adds too little beside a provider and callers on one core for a ratio of what is added.
        { name: "p50, gRPC, router / nginx", ratio: whole("p50") },
        { name: "p99, gRPC, router / nginx", ratio: whole("p99") },
      ],
    };
  } finally {
    letGo();
    for (const one of Object.values(calls)) one.close();
    await programs.stop();
  }
}
