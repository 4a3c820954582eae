// A unary call to a plugin of the SDK over plain HTTP/1.1, against the same implementation behind connectNodeAdapter.
import assert from "node:assert/strict";
import { withCosts, wrk } from "../lib/load.mjs";
import { cores, Programs } from "../lib/processes.mjs";
import { alternate, median } from "../lib/statistics.mjs";

export const title = "unary handler of the SDK on plain HTTP, 32 connections";
export const tools = ["wrk"];

const path = "/echo.v1.Echo/Say";
const text = "hello world!";
// Field 1, a text of 12 bytes.
const requests = { json: JSON.stringify({ message: text }), proto: `\n\f${text}` };

async function check(url, codec) {
  const headers = { "content-type": `application/${codec}` };
  const answer = await fetch(url + path, { method: "POST", headers, body: requests[codec] });
  assert.equal(answer.status, 200);
  assert.equal(answer.headers.get("content-type"), `application/${codec}`);
  assert.equal(await answer.text(), requests[codec]);
}

export async function run({ rounds, seconds }) {
  const programs = new Programs();
  try {
    const servers = {
      SDK: await programs.node(cores.measured, "sdk-unary", { server: "sdk" }),
      connectNodeAdapter: await programs.node(cores.measured, "sdk-unary", { server: "connect-node" }),
    };
    const costs = {};
    const contestants = {};
    for (const codec of Object.keys(requests)) {
      for (const [name, { url, pid }] of Object.entries(servers)) {
        await check(url, codec);
        const headers = { "content-type": `application/${codec}` };
        const load = () => wrk({ url: url + path, headers, body: requests[codec], seconds });
        contestants[`${codec}, ${name}`] = withCosts(costs, `${codec}, ${name}`, pid, seconds, load);
      }
    }
    // Programs on node are slow until their code is compiled.
    for (const measure of Object.values(contestants)) await measure();
    for (const name of Object.keys(costs)) delete costs[name];
    const rates = await alternate(rounds, contestants);
    const cost = Object.fromEntries(
      Object.entries(costs).map(([name, values]) => [name, { median: median(values), values }]),
    );
    const named = (prefix, values) =>
      Object.fromEntries(Object.entries(values).map(([name, value]) => [`${prefix}, ${name}`, value]));
    return {
      unit: "",
      values: { ...named("requests/s", rates), ...named("CPU µs a request", cost) },
      ratios: Object.keys(requests).flatMap((codec) => [
        {
          name: `${codec}: SDK / connectNodeAdapter`,
          ratio: rates[`${codec}, SDK`].median / rates[`${codec}, connectNodeAdapter`].median,
          atLeast: 4,
        },
        {
          name: `${codec}: CPU of connectNodeAdapter / CPU of the SDK`,
          ratio: cost[`${codec}, connectNodeAdapter`].median / cost[`${codec}, SDK`].median,
        },
      ]),
    };
  } finally {
    await programs.stop();
  }
}
