import { once } from "node:events";
import http from "node:http";
import { describe, expect, onTestFinished, test } from "vitest";
import type { Caller } from "../../src/router/decide.js";
import { conditions } from "../support/conditions.js";
import { startCall, type Version } from "../support/http-server.js";
import {
  pluginRecord,
  type RouterHost,
  startHttp1Provider,
  startRouter,
  type TestProvider,
} from "../support/router-host.js";

const asked = "x-plugin-provider";
const avoid = "x-plugin-avoid";
const notSent = "x-plugin-not-sent";

/** What providers must not say, and do. */
const claims = {
  [asked]: "somebody-else",
  [notSent]: "app-1",
  [`trailer-${asked}`]: "somebody-else",
  [`trailer-${notSent}`]: "app-1",
};

/** Ends with the test. */
const ending = (provider: TestProvider): TestProvider => {
  onTestFinished(() => provider[Symbol.asyncDispose]());
  return provider;
};

/** Providers that answer with their ids, and claim to be another. */
async function addProviders(host: RouterHost, ...ids: string[]) {
  const heads: http.IncomingHttpHeaders[] = [];
  for (const runtimeId of ids) {
    const provider = ending(
      await startHttp1Provider((request, response) => {
        heads.push(request.headers);
        request.resume().on("end", () => {
          response.writeHead(200, { ...claims, trailer: asked });
          response.write(runtimeId);
          response.addTrailers({ [asked]: "somebody-else", "x-own": "1" });
          response.end();
        });
      }),
    );
    host.view.add(pluginRecord({ runtimeId, address: provider.address(["h1"]) }));
  }
  return { heads };
}

async function ask(host: RouterHost, version: Version, avoided?: string | string[], idOrAny = "any") {
  const headers = { "content-type": "application/json", ...(avoided !== undefined && { [avoid]: avoided }) };
  using call = startCall(host, version, { path: `/services/logger/${idOrAny}/x`, headers });
  call.request.end("{}");
  return await call.answer();
}

const versions: readonly Version[] = ["1.1", "2"];

describe.each(versions)("a plugin that calls any provider over HTTP/%s", (version) => {
  test("says whom it avoids, and is told who was asked", async () => {
    await using host = await startRouter();
    const providers = await addProviders(host, "one", "two");
    for (const { list, provider } of [
      { list: "", provider: "one" },
      { list: "two", provider: "one" },
      { list: "one", provider: "two" },
      { list: "nobody , one,,", provider: "two" },
      { list: "a b, /, one", provider: "two" },
    ]) {
      const { status, text, headers, trailers } = await ask(host, version, list);
      expect({ list, status, text, told: headers[asked] }).toEqual({
        list,
        status: 200,
        text: provider,
        told: provider,
      });
      expect(Object.entries(trailers)).toEqual([["x-own", "1"]]);
      for (const name of [notSent, `trailer-${asked}`, `trailer-${notSent}`]) expect(headers).not.toHaveProperty(name);
    }
    expect(providers.heads.every((head) => !(avoid in head))).toBe(true);
  });

  test("is told nothing if it does not ask, neither by the host nor by the provider", async () => {
    await using host = await startRouter();
    await addProviders(host, "one");
    const { headers, trailers } = await ask(host, version);
    for (const name of Object.keys(claims)) expect(headers).not.toHaveProperty(name);
    expect(Object.entries(trailers)).toEqual([["x-own", "1"]]);
  });

  test("is refused if there is nobody else", async () => {
    await using host = await startRouter();
    const providers = await addProviders(host, "one", "two");
    const { status, text, headers } = await ask(host, version, "one, two");
    expect({ status, ...JSON.parse(text) }).toEqual({
      status: 503,
      code: "unavailable",
      message: "the only providers of logger that can take calls now are those that the caller avoids",
    });
    expect(headers).toMatchObject({ "error-code": "PROVIDERS_AVOIDED", [notSent]: "app-1", "retry-after": "3" });
    expect(headers).not.toHaveProperty(asked);
    expect(providers.heads).toEqual([]);
  });

  test("is told another reason where the list is not the reason", async () => {
    await using host = await startRouter();
    host.view.add(pluginRecord({ phase: { kind: "draining", reason: "" } as never }));
    const { status, text, headers } = await ask(host, version, "somebody");
    expect([status, JSON.parse(text).message]).toEqual([503, "every provider of logger is bad"]);
    expect(headers).not.toHaveProperty("error-code");
  });

  test("gets nobody whom it avoids by a second try of the host, and is told who was asked last", async () => {
    await using host = await startRouter();
    host.view.add(pluginRecord({ runtimeId: "closed-1" }));
    const providers = await addProviders(host, "one", "two");
    const answer = await ask(host, version, "one");
    expect([answer.text, answer.headers[asked]]).toEqual(["two", "two"]);
    expect(host.view.failures.map((text) => text.split(":")[0])).toEqual(["closed-1"]);
    const refused = await ask(host, version, "one,two");
    expect([refused.status, refused.headers[asked], refused.headers[notSent]]).toEqual([502, "closed-1", "app-1"]);
    expect(providers.heads).toHaveLength(1);
  });

  test("is told whom the host has asked in vain", async () => {
    await using host = await startRouter({ headersTimeoutMs: 50 });
    await using silent = await startHttp1Provider(() => {});
    host.view.add(pluginRecord({ runtimeId: "silent", address: silent.address(["h1"]) }));
    const late = await ask(host, version, "");
    expect([late.status, late.headers[asked]]).toEqual([504, "silent"]);
    host.view.forbidden = "no";
    const forbidden = await ask(host, version, "");
    expect([forbidden.status, forbidden.headers[asked], forbidden.headers[notSent]]).toEqual([403, "silent", "app-1"]);
  });

  test("that names its provider gets that one, and is told so", async () => {
    await using host = await startRouter();
    await addProviders(host, "one", "two");
    const { text, headers } = await ask(host, version, "one,two", "two");
    expect([text, headers[asked]]).toEqual(["two", "two"]);
  });

  test("may avoid 64, and not more", async () => {
    await using host = await startRouter();
    await addProviders(host, "one");
    const ids = Array.from({ length: 64 }, (_, index) => `id-${index}`);
    expect((await ask(host, version, [...ids, "id-0"].join())).status).toBe(200);
    const { status, text } = await ask(host, version, [...ids, "one"].join());
    expect({ status, ...JSON.parse(text) }).toEqual({
      status: 400,
      code: "invalid_argument",
      message: "x-plugin-avoid may name 64 runtime ids at most",
    });
  });

  test("may give its list in several fields", async () => {
    await using host = await startRouter();
    await addProviders(host, "one", "two", "three");
    expect((await ask(host, version, ["one", "two"])).text).toBe("three");
  });

  test("does not wait for room at those whom it avoids, nor is it given to them when there is room", async () => {
    await using host = await startRouter({ maxInFlightPerProvider: 1, queueTimeoutMs: 60_000 });
    const { look, until } = conditions();
    const held: { id: string; release: () => void }[] = [];
    for (const runtimeId of ["one", "two"]) {
      const provider = ending(
        await startHttp1Provider((_request, response) => {
          held.push({ id: runtimeId, release: () => void response.end(runtimeId) });
          look();
        }),
      );
      host.view.add(pluginRecord({ runtimeId, address: provider.address(["h1"]) }));
    }
    const calls = [ask(host, version, ""), ask(host, version, "")];
    await until(() => held.length === 2);
    const waiting = ask(host, version, "one");
    while (host.router.waitingFor("two") !== 1) await new Promise(setImmediate);
    held.find(({ id }) => id === "one")?.release();
    await Promise.race(calls);
    expect(host.router.waitingFor("two")).toBe(1);
    held.find(({ id }) => id === "two")?.release();
    await until(() => held.length === 3);
    held[2]?.release();
    const { text, headers } = await waiting;
    expect([text, headers[asked]]).toEqual(["two", "two"]);
    await Promise.all(calls);
  });
});

test.each<{ who: string; caller: Caller }>([
  { who: "a user of an ingress", caller: { kind: "ingress", user: undefined } },
  { who: "the host itself", caller: { kind: "host" } },
])("$who chooses nobody and is told nothing", async ({ caller }) => {
  await using host = await startRouter();
  await addProviders(host, "one", "two");
  host.caller = caller;
  const { text, headers } = await ask(host, "1.1", "one");
  expect(text).toBe("one");
  expect(headers).not.toHaveProperty(asked);
});

test("a caller whom the host does not know is told nothing", async () => {
  await using host = await startRouter();
  await addProviders(host, "one");
  for (const caller of [{ refused: "expired" }, { kind: "anonymous" }] as const) {
    host.caller = caller;
    const { status, headers } = await ask(host, "1.1", "");
    expect(status).toBe(401);
    expect(headers).not.toHaveProperty(asked);
  }
});

test.each(["application/connect+json", "application/grpc", "application/grpc-web+proto"])(
  "a refusal of %s has the same fields",
  async (type) => {
    await using host = await startRouter();
    await addProviders(host, "one");
    using call = startCall(host, "2", {
      path: "/services/logger/any/x",
      headers: { "content-type": type, te: "trailers", [avoid]: "one" },
    });
    call.request.end();
    const { headers } = await call.answer();
    expect(headers).toMatchObject({ "error-code": "PROVIDERS_AVOIDED", [notSent]: "app-1" });
  },
);

test("an upgrade goes to nobody whom its caller avoids", async () => {
  await using host = await startRouter();
  await using provider = await startHttp1Provider(() => {});
  host.view.add(pluginRecord({ runtimeId: "one", address: provider.address(["h1"]) }));
  const headers = { connection: "Upgrade", upgrade: "websocket", [avoid]: "one" };
  const request = http.get({ port: host.port, path: "/services/logger/any/x", headers });
  const [answer] = (await once(request, "response")) as [http.IncomingMessage];
  answer.resume();
  expect([answer.statusCode, answer.headers["error-code"]]).toEqual([503, "PROVIDERS_AVOIDED"]);
  expect(provider.connections()).toBe(0);
});
