import { expect, test } from "vitest";
import { ContractHost, PlainProvider } from "../support/contract-host.js";
import { within } from "../support/http-server.js";

const fast = { health: { intervalMs: 50, retryMs: 20, startGraceMs: 0, fallThreshold: 1, riseThreshold: 1 } };

test("a plugin that answers no GetHealth is polled at its health_path", async () => {
  await using provider = await PlainProvider.start();
  await using host = await ContractHost.start(fast);
  const member = await host.join("plain");
  await member.register({ metadata: { base_url: provider.url, health_path: "/well?deep=1" } });
  const isIn = (state: string) =>
    within(
      5_000,
      state,
      host.until(() => host.platform.plugin(member.runtimeId).health === state),
    );
  await isIn("healthy");
  expect(provider.requests[0]).toMatchObject({ method: "GET", url: "/well?deep=1" });
  provider.answers((exchange) => exchange.respond(500, [], true));
  await isIn("unhealthy");
  expect(host.platform.plugin(member.runtimeId).reason).toContain("/well?deep=1 answers 500");
  provider.answers((exchange) => exchange.respond(204, [], true));
  await isIn("healthy");
});

test("without a health_path a connection is good enough", async () => {
  await using provider = await PlainProvider.start();
  await using host = await ContractHost.start(fast);
  const member = await host.join("plain");
  await member.register({ metadata: { base_url: provider.url } });
  await within(
    5_000,
    "healthy",
    host.until(() => host.platform.plugin(member.runtimeId).health === "healthy"),
  );
  expect(provider.requests).toEqual([]);
});

test.each(["@", ".", ""])("a health_path that is declared cannot lead to another host either (%s)", async (trick) => {
  await using provider = await PlainProvider.start();
  await using victim = await PlainProvider.start("victim");
  await using host = await ContractHost.start(fast);
  const health_path = `${trick}${new URL(victim.url).host}/admin`;
  const added = host.platform.addPlugin({
    endpoint: provider.url,
    declares: { selfId: "plain", metadata: { health_path } },
    limits: { healthMs: 200 },
  });
  await expect(added).rejects.toMatchObject({ code: "PLUGIN_NOT_HEALTHY" });
  expect(victim.requests).toEqual([]);
});

test("an endpoint that is no plugin is polled at the health_path that is declared for it", async () => {
  await using provider = await PlainProvider.start();
  await using host = await ContractHost.start(fast);
  const { runtimeId } = await host.platform.addPlugin({
    endpoint: provider.url,
    declares: { selfId: "plain", metadata: { health_path: "/well" } },
  });
  expect(provider.requests[0]?.url).toBe("/well");
  provider.answers((exchange) => exchange.respond(500, [], true));
  await within(
    5_000,
    "unhealthy",
    host.until(() => host.platform.plugin(runtimeId).health === "unhealthy"),
  );
});

test("a poll of a plugin that answers without end is cut, and its memory stays flat", async () => {
  await using provider = await PlainProvider.start();
  provider.answers((exchange) => {
    exchange.respond(200, []);
    const more = (): void => {
      while (exchange.ended === undefined && exchange.response.write(Buffer.alloc(65_536)));
    };
    exchange.response.on("drain", more);
    more();
  });
  await using host = await ContractHost.start(fast);
  const member = await host.join("endless");
  await member.register({ metadata: { base_url: provider.url, health_path: "/endless" } });
  await within(
    5_000,
    "healthy",
    host.until(() => host.platform.plugin(member.runtimeId).health === "healthy"),
  );
  expect((await member.discover("logger")).code).toBeUndefined();
});
