import type http from "node:http";
import { expect, test } from "vitest";
import type { PlatformOptions } from "../../src/index.js";
import { type Caller, startHost, type TestHost } from "../support/host.js";
import { within } from "../support/http-server.js";
import { startHttp1Provider } from "../support/router-host.js";

type Behaviour = (response: http.ServerResponse) => void;

const answers: Behaviour = (response) => void response.end("fine");
const breaks: Behaviour = (response) => void response.socket?.destroy();
const refuses: Behaviour = (response) => void response.writeHead(503).end("not now");
/** A plugin that registers by itself, is healthy for whoever polls it, and answers calls as it is told. */
async function startShaky(host: TestHost, selfId = "shaky") {
  const shaky = { behaviour: breaks, calls: 0 };
  const provider = await startHttp1Provider((request, response) => {
    request.resume();
    if (request.url?.startsWith("/connectplugin.")) return void response.writeHead(404).end();
    shaky.calls++;
    shaky.behaviour(response);
  });
  const caller = await host.caller(selfId);
  const metadata = { base_url: `http://127.0.0.1:${provider.port}` };
  await caller.registry.registerService({ serviceType: "shaky", version: "1.0.0", endpointPath: "/", metadata });
  const { runtimeId } = caller.identity;
  await host.until(() =>
    host.platform.plugins().some((plugin) => plugin.runtimeId === runtimeId && plugin.health === "healthy"),
  );
  return Object.assign(shaky, {
    runtimeId,
    view: () => host.platform.plugin(runtimeId),
    [Symbol.asyncDispose]: () => provider[Symbol.asyncDispose](),
  });
}

const start = (options: PlatformOptions = {}) =>
  startHost({
    ...options,
    health: { ejectAfterFailures: 3, ejectMs: 200, maxEjectMs: 1_000, intervalMs: 60_000, ...options.health },
  });

const call = ({ identity }: Caller, host: TestHost, id: string) => host.post(`/services/shaky/${id}/x`, {}, identity);

test("a provider whose calls keep failing is ejected, seen to be so, and tried again", async () => {
  await using host = await start({ health: { ejectMs: 400 } });
  await using shaky = await startShaky(host);
  const caller = await host.caller();
  for (let index = 0; index < 3; index++) expect((await call(caller, host, shaky.runtimeId)).status).toBe(502);
  expect(shaky.view()).toMatchObject({
    health: "unhealthy",
    healthCause: "traffic",
    traffic: { kind: "ejected", ejections: 1 },
  });
  for (const id of [shaky.runtimeId, "any"]) {
    const refused = await call(caller, host, id);
    expect(refused.status).toBe(503);
    expect(refused.text).toContain("ejected for 400 ms: calls keep failing, 3 in a row");
  }
  expect(shaky.calls).toBe(3);
  await within(
    5_000,
    "the end of the ejection",
    host.until(() => shaky.view().traffic.kind === "trial"),
  );
  expect((await call(caller, host, shaky.runtimeId)).status).toBe(502);
  expect(shaky.view()).toMatchObject({ traffic: { kind: "ejected", ejections: 2 } });
  await within(
    5_000,
    "the end of the ejection",
    host.until(() => shaky.view().traffic.kind === "trial"),
  );
  shaky.behaviour = answers;
  expect((await call(caller, host, shaky.runtimeId)).status).toBe(200);
  expect(shaky.view()).toMatchObject({ health: "healthy", traffic: { kind: "passing", failures: 0 } });
});

test("a trial is one call; the others wait for it and go on when it is answered", async () => {
  await using host = await start({ health: { ejectMs: 5_000 }, router: { queueTimeoutMs: 30_000 } });
  await using shaky = await startShaky(host);
  const caller = await host.caller();
  for (let index = 0; index < 3; index++) await call(caller, host, shaky.runtimeId);
  await within(
    10_000,
    "the end of the ejection",
    host.until(() => shaky.view().traffic.kind === "trial"),
  );
  let head = (): void => {};
  let end = (): void => {};
  shaky.behaviour = (response) => {
    head = () => response.flushHeaders();
    end = () => void response.end("fine");
  };
  shaky.calls = 0;
  const calls = [1, 2, 3].map(() => call(caller, host, shaky.runtimeId));
  while (shaky.calls === 0 || shaky.view().waiting !== 2) await new Promise((resolve) => setImmediate(resolve));
  expect(shaky.calls).toBe(1);
  shaky.behaviour = answers;
  // The head is an answer, however long the rest of it takes.
  head();
  while (shaky.calls < 3) await new Promise((resolve) => setImmediate(resolve));
  end();
  expect((await within(5_000, "all", Promise.all(calls))).map(({ status }) => status)).toEqual([200, 200, 200]);
});

test("a trial that is not answered keeps the others out for as long as it lasts, and no longer when its caller goes", async () => {
  await using host = await start({ health: { ejectMs: 50 }, router: { queueTimeoutMs: 0 } });
  await using shaky = await startShaky(host);
  const caller = await host.caller();
  for (let index = 0; index < 3; index++) await call(caller, host, shaky.runtimeId);
  await within(
    5_000,
    "the end of the ejection",
    host.until(() => shaky.view().traffic.kind === "trial"),
  );
  shaky.behaviour = () => {};
  shaky.calls = 0;
  const leaving = new AbortController();
  const url = `${host.platform.url}/services/shaky/${shaky.runtimeId}/x`;
  const { runtimeId, token } = caller.identity;
  const headers = { "x-plugin-runtime-id": runtimeId, authorization: `Bearer ${token}` };
  const trial = fetch(url, { method: "POST", body: "{}", headers, signal: leaving.signal });
  const settled = trial.catch((error: Error) => error.name);
  while (shaky.calls === 0) await new Promise((resolve) => setImmediate(resolve));
  const endsAt = performance.now() + 150;
  while (performance.now() < endsAt) {
    const refused = await call(caller, host, shaky.runtimeId);
    expect(refused.status).toBe(503);
    expect(refused.text).toContain("on trial after failed calls, by one call at a time");
  }
  expect(shaky.calls).toBe(1);
  shaky.behaviour = answers;
  leaving.abort();
  expect(await settled).toBe("AbortError");
  await within(
    5_000,
    "the end of the trial",
    host.until(() => shaky.view().inFlight === 0),
  );
  expect((await call(caller, host, shaky.runtimeId)).status).toBe(200);
});

test("answers are answers whatever they say: a provider that says 503 is not ejected", async () => {
  await using host = await start();
  await using shaky = await startShaky(host);
  shaky.behaviour = refuses;
  const caller = await host.caller();
  for (let index = 0; index < 10; index++) expect((await call(caller, host, "any")).text).toBe("not now");
  expect(shaky.view()).toMatchObject({ health: "healthy", traffic: { kind: "passing", failures: 0 } });
});

test("with `try` calls go to ejected providers if there are no others, and to another one otherwise", async () => {
  const health = { ejectMs: 60_000, maxEjectMs: 60_000 };
  await using host = await start({ health, router: { whenAllEjected: "try" } });
  await using bad = await startShaky(host, "bad");
  const caller = await host.caller();
  for (let index = 0; index < 3; index++) await call(caller, host, bad.runtimeId);
  expect(bad.view().traffic.kind).toBe("ejected");
  bad.behaviour = answers;
  for (const id of [bad.runtimeId, "any"]) expect((await call(caller, host, id)).status).toBe(200);
  await using good = await startShaky(host, "good");
  good.behaviour = answers;
  bad.calls = 0;
  for (let index = 0; index < 4; index++) await call(caller, host, "any");
  expect([good.calls, bad.calls]).toEqual([4, 0]);
});

const cutsOff: Behaviour = (response) => {
  response.writeHead(200, { "content-length": "100" });
  response.write("half", () => response.socket?.destroy());
};

test("answers that break off count as failed, although each has begun", async () => {
  await using host = await start({ health: { ejectMs: 60_000, maxEjectMs: 60_000 } });
  await using shaky = await startShaky(host);
  shaky.behaviour = cutsOff;
  const caller = await host.caller();
  for (let index = 0; index < 3; index++) {
    await expect(within(5_000, "the end", call(caller, host, shaky.runtimeId))).rejects.toThrow(/aborted|hang up/);
  }
  await host.until(() => shaky.view().traffic.kind === "ejected");
  expect((await call(caller, host, "any")).status).toBe(503);
});
