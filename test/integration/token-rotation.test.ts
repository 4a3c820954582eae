import type { Client } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { deferred } from "../../src/internal/deferred.js";
import { definePlugin, type ServeOptions, servePlugin } from "../../src/plugin/index.js";
import { Echo } from "../support/gen/echo/v1/echo_pb.js";
import { startHost, type TestHost } from "../support/host.js";
import { manualClock } from "../support/manual-clock.js";
import { echoPlugin, startEndpoint } from "../support/plugins.js";

/** Enough to drop the oldest tokens of an identity, of which the host keeps 16. */
const renewals = 20;
const callsAtOnce = 8;

/** Calls over and over, several at once, until `over` is aborted. Returns how many passed, and what failed. */
async function load(call: () => Promise<unknown>, over: AbortSignal) {
  const failures: unknown[] = [];
  let passed = 0;
  const worker = async (): Promise<void> => {
    while (!over.aborted) {
      try {
        await call();
        passed += 1;
      } catch (error) {
        failures.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: callsAtOnce }, worker));
  return { passed, failures };
}

/** A plugin of the SDK that renews its token all the time. `renewed` is aborted when it has done so often enough. */
async function renewingPlugin(host: TestHost, options: ServeOptions) {
  let client: Client<typeof Echo> | undefined;
  const renewed = new AbortController();
  const ready = deferred();
  let count = 0;
  const plugin = definePlugin({
    id: "renewing",
    version: "1.0.0",
    requires: { echo: { service: Echo } },
    setup(context) {
      client = context.client("echo");
    },
  });
  const running = await servePlugin(plugin, {
    hostUrl: host.url,
    env: {},
    renewMs: 5,
    graceMs: 500,
    ...options,
    onEvent(event) {
      if (event.kind === (options.link === "off" ? "registered" : "link-open")) ready.resolve();
      if (event.kind !== "identified" || !event.renewed) return;
      count += 1;
      if (count >= renewals) renewed.abort();
    },
  });
  await ready.promise;
  return {
    renewed: renewed.signal,
    call: () => (client as Client<typeof Echo>).say({ text: "hi" }),
    [Symbol.asyncDispose]: () => running.stop(),
  };
}

describe("while tokens are renewed under load not one call fails", () => {
  test.each([
    { name: "over HTTP", options: { link: "off" } },
    { name: "over a link", options: { link: "auto" } },
  ] as const)("of a plugin of the SDK $name", async ({ options }) => {
    await using host = await startHost();
    await using endpoint = await startEndpoint().then((served) => ({
      url: served.url,
      [Symbol.asyncDispose]: () => served.stop(),
    }));
    await host.platform.addPlugin({ endpoint: endpoint.url });
    await using plugin = await renewingPlugin(host, options);
    const { passed, failures } = await load(plugin.call, plugin.renewed);
    expect(failures).toEqual([]);
    expect(passed).toBeGreaterThan(renewals);
  });

  test("of a caller that speaks HTTP and renews by handshake", async () => {
    await using host = await startHost();
    await host.platform.addPlugin({ module: echoPlugin() });
    let identity = await host.handshake("caller");
    const over = new AbortController();
    const renew = async (): Promise<void> => {
      for (let count = 0; count < renewals; count++) identity = await host.handshake("caller", "", identity);
      over.abort();
    };
    const say = async (): Promise<void> => {
      const { status, text } = await host.post("/services/echo/any/Say", { text: "hi" }, identity);
      if (status !== 200) throw new Error(`${status}: ${text}`);
    };
    const [{ passed, failures }] = await Promise.all([load(say, over.signal), renew()]);
    expect(failures).toEqual([]);
    expect(passed).toBeGreaterThan(renewals);
  });
});

test("an old token is good until the overlap is over, and the last one until its plugin is removed", async () => {
  const clock = manualClock();
  await using host = await startHost({ clock, tokenOverlapMs: 60_000, limits: { graceMs: 0 } });
  await host.platform.addPlugin({ module: echoPlugin() });
  const first = await host.handshake("caller");
  const statusWith = async (identity: typeof first) =>
    (await host.post("/services/echo/any/Say", { text: "hi" }, identity)).status;
  const second = await host.handshake("caller", "", first);
  expect([await statusWith(first), await statusWith(second)]).toEqual([200, 200]);
  clock.advance(59_999);
  expect([await statusWith(first), await statusWith(second)]).toEqual([200, 200]);
  clock.advance(1);
  expect([await statusWith(first), await statusWith(second)]).toEqual([401, 200]);
  await host.platform.removePlugin(second.runtimeId);
  expect(await statusWith(second)).toBe(401);
});
