import { AssertionError } from "node:assert";
import { expect, test } from "vitest";
import { PluginHostError } from "../../../src/index.js";
import { fakePlugin, manualClock, startTestHost, stub } from "../../../src/testing/index.js";
import { Echo } from "../../support/gen/echo/v1/echo_pb.js";

const echoes = (id = "echo", text = "hi") =>
  fakePlugin({ id, provides: { echo: stub(Echo, { say: { text, provider: id } }) } });

test("a host in memory opens no port, and calls reach plugins through it", async () => {
  await using host = await startTestHost();
  const view = await host.add(echoes());
  expect(host.url).toBeUndefined();
  expect(await host.client(Echo).say({})).toMatchObject({ text: "hi" });
  expect(host.find("echo")?.runtimeId).toBe(view.runtimeId);
  expect(host.find(view.runtimeId)?.selfId).toBe("echo");
  expect(host.eventsOf("plugin-added").map(({ plugin }) => plugin.selfId)).toEqual(["echo"]);
  expect(host.events.length).toBeGreaterThan(14);
});

test("it listens on a free port if it is asked to", async () => {
  await using host = await startTestHost({ listen: true });
  expect(host.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
});

test("leaving the scope stops the host", async () => {
  let platform: Awaited<ReturnType<typeof startTestHost>>["platform"];
  {
    await using host = await startTestHost();
    platform = host.platform;
  }
  await expect(platform.listen()).rejects.toMatchObject({ code: "HOST_STOPPED" });
});

test("waits end with the health, the going and the revision that they are for", async () => {
  await using host = await startTestHost();
  const fake = echoes();
  const healthy = host.untilHealthy("echo");
  await host.add(fake);
  expect((await healthy).health).toBe("healthy");
  fake.reportHealth("degraded", "half asleep");
  expect((await host.untilHealth("echo", "degraded")).reason).toBe("half asleep");
  const gone = host.untilGone("echo");
  await host.remove("echo");
  await gone;
  const { number } = host.eventsOf("changed").at(-1)?.revision ?? { number: 0 };
  await host.untilRevision(number);
  const next = host.untilRevision(number + 1);
  await host.add(echoes("other"));
  await next;
});

test("next gives an event that comes after it was asked for, and not an earlier one", async () => {
  await using host = await startTestHost();
  await host.add(echoes("first"));
  const added = host.next("plugin-added");
  const other = host.next("plugin-added", ({ plugin }) => plugin.selfId === "third");
  await host.add(echoes("second"));
  await host.add(echoes("third"));
  expect((await added).plugin.selfId).toBe("second");
  expect((await other).plugin.selfId).toBe("third");
});

test("a wait that is over in vain is a failed check that says how things are instead", async () => {
  await using host = await startTestHost({ waitMs: 20 });
  const error: unknown = await host.untilHealthy("echo").catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(AssertionError);
  expect(error).toMatchObject({ message: "echo is not healthy, but not there: not within 20 ms" });
  await host.add(echoes());
  await expect(host.untilGone("echo")).rejects.toThrow("echo is still there, serving and healthy: not within 20 ms");
  await expect(host.next("health", () => false)).rejects.toThrow('no event "health" that fits has come');
  await expect(host.untilRevision(1_000)).rejects.toThrow(/the host is at revision \d, not 1000/);
});

/** Its listener throws, which is what the host warns of. */
async function hostThatWarns(failOnWarnings: boolean) {
  const host = await startTestHost({ failOnWarnings });
  host.platform.on("plugin-added", () => {
    throw new Error("a listener's own error");
  });
  return host;
}

test("warnings are collected", async () => {
  await using host = await hostThatWarns(false);
  await host.add(echoes());
  expect(host.warnings.map(({ error }) => (error as Error).message)).toEqual(["a listener's own error"]);
});

test("with failOnWarnings a warning fails the wait that is open, and the end of the host", async () => {
  const host = await hostThatWarns(true);
  const wait = host.untilGone("echo");
  wait.catch(() => {});
  const other = host.until("never", () => false);
  other.catch(() => {});
  await host.add(echoes());
  await expect(other).rejects.toThrow(/the host warned: .*a listener's own error/);
  await expect(host.stop()).rejects.toThrow(/the host warned:\n {2}.*a listener's own error/);
});

test("a warning that is allowed fails nothing", async () => {
  const host = await hostThatWarns(true);
  host.allowWarning(/listener's own/);
  await host.add(echoes());
  await host.stop();
});

test("a host whose clock is moved by hand gives up when it is told that the time is over, and not before", async () => {
  const clock = manualClock();
  await using host = await startTestHost({ clock, limits: { healthMs: 60_000 } });
  const polling = host.next("step", ({ step, state }) => step === "health" && state === "started");
  let failure: unknown;
  const adding = host.add(fakePlugin({ id: "ill", health: "unhealthy" })).catch((error: unknown) => {
    failure = error;
  });
  await polling;
  await clock.advanceAsync(59_999);
  expect(failure).toBeUndefined();
  await clock.advanceAsync(1);
  await adding;
  expect(failure).toMatchObject({ code: "PLUGIN_NOT_HEALTHY" });
});

test("an option that does not exist is refused", async () => {
  await expect(startTestHost({ lisen: true } as never)).rejects.toBeInstanceOf(PluginHostError);
});
