// One POST of 25 bytes at a time on each of 32 connections, through the router and through its peers.
import assert from "node:assert/strict";
import { withCosts, wrk } from "../lib/load.mjs";
import { haproxy, nginxHttp1, nginxProvider } from "../lib/peers.mjs";
import { cores, freePorts, Programs } from "../lib/processes.mjs";
import { alternate, median } from "../lib/statistics.mjs";

export const title = "HTTP/1.1 unary through the router, 32 connections";
export const tools = ["wrk", "nginx", "haproxy"];

const body = '{"message":"hello world!"}';
const type = { "content-type": "application/json" };

async function check(url, headers, expectedCaller) {
  const answer = await fetch(url, { method: "POST", body, headers: { ...type, ...headers } });
  assert.equal(answer.status, 200, url);
  assert.equal(await answer.text(), body, url);
  if (expectedCaller !== undefined) assert.equal(answer.headers.get("x-seen-caller"), expectedCaller, url);
}

export async function run({ rounds, seconds }) {
  const programs = new Programs();
  try {
    const [providerPort, nginxPort, haproxyPort] = await freePorts(3);
    await nginxProvider(programs, providerPort, body);
    const nginx = await nginxHttp1(programs, nginxPort, providerPort);
    const haproxyServer = await haproxy(programs, haproxyPort, providerPort);
    const proxy = await programs.node(cores.measured, "http-proxy", { providerPort });
    const bare = await programs.node(cores.measured, "node-proxy", { providerPort });
    const least = await programs.node(cores.measured, "least-proxy", { providerPort, answer: body });
    const router = await programs.node(cores.measured, "router", { providerPort, protocols: "h1" });
    const { caller, providerId } = router;
    const path = `/services/echo/${providerId}/echo.v1.Echo/Say`;
    const urls = {
      router: router.url + path,
      "http-proxy-3": proxy.url + path,
      "node:http": bare.url + path,
      "least behind node:http": least.url + path,
      "node:http answers itself": `${least.url}/at-once`,
      nginx: `http://127.0.0.1:${nginxPort}${path}`,
      haproxy: `http://127.0.0.1:${haproxyPort}${path}`,
      direct: `http://127.0.0.1:${providerPort}/echo.v1.Echo/Say`,
    };
    for (const [name, url] of Object.entries(urls)) {
      await check(url, caller.headers, name === "router" ? caller.runtimeId : undefined);
    }
    const refused = await fetch(urls.router, {
      method: "POST",
      body,
      headers: { ...caller.headers, ...type, authorization: "Bearer no" },
    });
    assert.equal(refused.status, 401);
    const headers = { ...type, ...caller.headers };
    const measure = (url) => () => wrk({ url, headers, body, seconds });
    const pids = {
      router: router.pid,
      "http-proxy-3": proxy.pid,
      "node:http": bare.pid,
      "least behind node:http": least.pid,
      "node:http answers itself": least.pid,
      nginx: nginx.pid,
      haproxy: haproxyServer.pid,
    };
    const costs = {};
    // Programs on node are slow until their code is compiled.
    const onNode = ["router", "http-proxy-3", "node:http", "least behind node:http", "node:http answers itself"];
    for (const name of onNode) await wrk({ url: urls[name], headers, body, seconds: 2 });
    const rates = await alternate(
      rounds,
      Object.fromEntries(
        Object.entries(urls).map(([name, url]) => [
          name,
          pids[name] === undefined ? measure(url) : withCosts(costs, name, pids[name], seconds, measure(url)),
        ]),
      ),
    );
    const against = (peer) => rates.router.median / rates[peer].median;
    return {
      unit: "",
      values: {
        ...Object.fromEntries(Object.entries(rates).map(([name, rate]) => [`requests/s, ${name}`, rate])),
        ...Object.fromEntries(
          Object.entries(costs).map(([name, values]) => [
            `CPU µs a request, ${name}`,
            { median: median(values), values },
          ]),
        ),
      },
      ratios: [
        { name: "router / http-proxy-3", ratio: against("http-proxy-3"), atLeast: 2 },
        { name: "router / nginx", ratio: against("nginx"), atLeast: 0.65 },
        { name: "router / node:http", ratio: against("node:http") },
        { name: "router / least behind node:http", ratio: against("least behind node:http") },
        {
          name: "least behind node:http / nginx",
          ratio: rates["least behind node:http"].median / rates.nginx.median,
        },
        { name: "router / haproxy", ratio: against("haproxy") },
        {
          name: "CPU of http-proxy-3 / CPU of the router",
          ratio: median(costs["http-proxy-3"]) / median(costs.router),
        },
        { name: "CPU of nginx / CPU of the router", ratio: median(costs.nginx) / median(costs.router) },
        { name: "router / direct", ratio: against("direct") },
      ],
    };
  } finally {
    await programs.stop();
  }
}
