import { expect, test } from "vitest";
import { fakePlugin, startTestHost, stub } from "../../../src/testing/index.js";
import { Echo } from "../../support/gen/echo/v1/echo_pb.js";

test("a fake plugin serves its stubs and calls what it requires, each under its own name", async () => {
  await using host = await startTestHost({ failOnWarnings: true });
  const echo = stub(Echo, { say: { text: "hi" } });
  await host.add(fakePlugin({ id: "provider", provides: { echo } }));
  const caller = fakePlugin({ id: "caller", requires: { echo: { service: Echo } } });
  const { runtimeId } = await host.add(caller);
  expect(await caller.context.client("echo").say({ text: "from caller" })).toMatchObject({ text: "hi" });
  expect(echo.calls("say").map(({ request, callerId }) => [request.text, callerId])).toEqual([
    ["from caller", runtimeId],
  ]);
});

test("it is ill from the start, or from when it says so", async () => {
  await using host = await startTestHost();
  const fake = fakePlugin({ id: "echo", provides: { echo: stub(Echo) }, health: "degraded" });
  await host.add(fake);
  expect(host.find("echo")?.health).toBe("degraded");
  fake.reportHealth("healthy");
  await host.untilHealthy("echo");
  fake.reportHealth("unhealthy", "no disk");
  expect(await host.untilHealth("echo", "unhealthy")).toMatchObject({ reason: "no disk", healthCause: "reported" });
});

test("a crash ends what runs, with its reason, and the next start is a new one", async () => {
  await using host = await startTestHost();
  const fake = fakePlugin({ id: "echo", provides: { echo: stub(Echo, { say: {} }) } });
  expect(() => fake.crash()).toThrow("echo does not run, so that it cannot crash");
  const first = await host.add(fake);
  expect(fake.running).toBe(1);
  const told = host.next("health", ({ health }) => health.cause === "exit");
  fake.crash("out of memory");
  expect((await told).health.reason).toContain("out of memory");
  expect(fake.running).toBe(0);
  await host.platform.removePlugin(first.runtimeId).catch(() => {});
  const second = await host.add(fake);
  expect(second.runtimeId).not.toBe(first.runtimeId);
  await host.client(Echo).say({});
});

test("a start fails as it is told to, once", async () => {
  await using host = await startTestHost();
  const fake = fakePlugin({ id: "echo", provides: { echo: stub(Echo) } });
  fake.failNextStart("no licence");
  await expect(host.add(fake)).rejects.toMatchObject({
    code: "PLUGIN_FAILED",
    message: expect.stringContaining("no licence"),
  });
  expect(host.find("echo")).toBeUndefined();
  await host.add(fake);
});
