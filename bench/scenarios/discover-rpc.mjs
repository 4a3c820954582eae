// DiscoverService over HTTP/1.1 and JSON, against handlers of the same server that return the same: an implementation of the
// procedure without identities, limits and a registry behind it, and one that sends the bytes without reading the request.
import assert from "node:assert/strict";
import { postJson } from "../lib/identity.mjs";
import { wrk } from "../lib/load.mjs";
import { cores, Programs } from "../lib/processes.mjs";
import { alternate } from "../lib/statistics.mjs";

export const title = "discover over RPC, 32 connections";
export const tools = ["wrk"];

export async function run({ rounds, seconds }) {
  const programs = new Programs();
  try {
    const { url, bareUrl, bareRpcUrl, caller, answer } = await programs.node(cores.measured, "discover");
    const path = "/connectplugin.v1.ServiceRegistry/DiscoverService";
    assert.equal(answer.endpoint.endpointUrl.startsWith("/services/echo/"), true);
    assert.deepEqual(await postJson(bareUrl + path, {}), answer);
    assert.deepEqual(await postJson(bareRpcUrl + path, { serviceType: "echo" }), answer);
    const request = {
      headers: { "content-type": "application/json", ...caller.headers },
      body: '{"serviceType":"echo"}',
      seconds,
    };
    const contestants = {
      host: () => wrk({ ...request, url: url + path }),
      "bare handler": () => wrk({ ...request, url: bareRpcUrl + path }),
      "bytes alone": () => wrk({ ...request, url: bareUrl + path }),
    };
    for (const measure of Object.values(contestants)) await measure();
    const values = await alternate(rounds, contestants);
    return {
      unit: "requests/s",
      values,
      ratios: [
        { name: "host / bare handler", ratio: values.host.median / values["bare handler"].median, atLeast: 0.8 },
        { name: "host / bytes alone", ratio: values.host.median / values["bytes alone"].median },
      ],
    };
  } finally {
    await programs.stop();
  }
}
