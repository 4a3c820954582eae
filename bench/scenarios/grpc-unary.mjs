// gRPC calls of 30 bytes over 4 connections with 8 streams each, through the router and through its peers.
import assert from "node:assert/strict";
import { mkdtempSync, writeFileSync } from "node:fs";
import http2 from "node:http2";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { h2load } from "../lib/load.mjs";
import { haproxy, nginxGrpc } from "../lib/peers.mjs";
import { cores, freePorts, Programs } from "../lib/processes.mjs";
import { alternate } from "../lib/statistics.mjs";

export const title = "gRPC unary through the router, 4 connections x 8 streams";
export const tools = ["h2load", "nginx", "haproxy"];

const message = Buffer.from('{"message":"hello world!"}');
const body = Buffer.concat([Buffer.from([0, 0, 0, 0, message.length]), message]);
const type = { "content-type": "application/grpc+json", te: "trailers" };

/** One call, with everything that came back. */
async function call(url, headers) {
  const { origin, pathname } = new URL(url);
  const session = http2.connect(origin);
  const stream = session.request({ ":method": "POST", ":path": pathname, ...type, ...headers });
  let answer;
  let trailers = {};
  const chunks = [];
  stream.on("response", (fields) => (answer = fields));
  stream.on("trailers", (fields) => (trailers = fields));
  stream.on("data", (chunk) => chunks.push(chunk));
  await new Promise((resolve, reject) => {
    stream.once("close", resolve);
    stream.once("error", reject);
    stream.end(body);
  });
  session.close();
  return { answer, trailers, body: Buffer.concat(chunks) };
}

export async function run({ rounds, seconds }) {
  const programs = new Programs();
  try {
    const { port: providerPort } = await programs.node(cores.load, "grpc-provider");
    const [nginxPort, haproxyPort] = await freePorts(2);
    await nginxGrpc(programs, nginxPort, providerPort);
    await haproxy(programs, haproxyPort, providerPort, "proto h2");
    const router = await programs.node(cores.measured, "router", { providerPort, protocols: "h2c" });
    const { caller, providerId } = router;
    const path = `/services/echo/${providerId}/echo.v1.Echo/Say`;
    const urls = {
      router: router.url + path,
      nginx: `http://127.0.0.1:${nginxPort}${path}`,
      haproxy: `http://127.0.0.1:${haproxyPort}${path}`,
      direct: `http://127.0.0.1:${providerPort}/echo.v1.Echo/Say`,
    };
    for (const [name, url] of Object.entries(urls)) {
      const seen = await call(url, caller.headers);
      assert.equal(seen.answer[":status"], 200, name);
      assert.equal(seen.trailers["grpc-status"], "0", name);
      assert.deepEqual(seen.body, body, name);
      if (name === "router") assert.equal(seen.answer["x-seen-caller"], caller.runtimeId);
    }
    const refused = await call(urls.router, { ...caller.headers, authorization: "Bearer no" });
    assert.equal(refused.answer["grpc-status"] ?? refused.trailers["grpc-status"], "16");
    const bodyFile = join(mkdtempSync(join(tmpdir(), "bench-grpc-")), "message");
    writeFileSync(bodyFile, body);
    const headers = { ...type, ...caller.headers };
    const measure = (url) => () => h2load({ url, headers, bodyFile, seconds });
    // Programs on node are slow until their code is compiled.
    for (const name of ["direct", "router"]) await measure(urls[name])();
    const rates = await alternate(
      rounds,
      Object.fromEntries(Object.entries(urls).map(([name, url]) => [name, measure(url)])),
    );
    const against = (peer) => rates.router.median / rates[peer].median;
    return {
      unit: "requests/s",
      values: rates,
      ratios: [
        { name: "router / nginx grpc_pass", ratio: against("nginx"), atLeast: 0.6 },
        { name: "router / haproxy", ratio: against("haproxy") },
        { name: "router / direct", ratio: against("direct") },
      ],
    };
  } finally {
    await programs.stop();
  }
}
