import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { PluginHostError } from "../../src/index.js";
import { systemClock } from "../../src/internal/clock.js";
import { LaunchNonces } from "../../src/launch/launch-nonces.js";
import { processLauncher } from "../../src/launch/process-launcher.js";
import { ProcessPorts } from "../../src/launch/process-ports.js";
import type { ProcessSource } from "../../src/launch/process-source.js";
import type { StartedProgram } from "../../src/model/launch.js";
import { callProbe, membersOf, probe } from "../support/process-plugins.js";

/** Another process's server as far as a launch can see: it answers every question as the plugin would. */
async function squatter(): Promise<number> {
  const server: Server = createServer((_, response) => {
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify({ selfId: "probe", selfVersion: "1.0.0" }));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  return (server.address() as AddressInfo).port;
}

/** Launches with ports in an order that the test decides; then ports that are free. */
async function launch(source: ProcessSource, ports: readonly number[]) {
  const chooser = new ProcessPorts();
  const given = [...ports];
  const started: StartedProgram[] = [];
  const launcher = processLauncher(source, {
    clock: systemClock,
    nonces: new LaunchNonces(),
    ports: {
      take: async () => given.shift() ?? chooser.take(),
      release: (port) => chooser.release(port),
      isFree: (port) => chooser.isFree(port),
    },
    hostUrlFor: () => "http://127.0.0.1:1",
    environment: process.env,
  });
  const signal = AbortSignal.timeout(8_000);
  const running = launcher.launch({ signal, onStart: (program) => started.push(program), onOutput: () => {} });
  running.then(
    (plugin) => onTestFinished(() => plugin.stop(0)),
    () => {},
  );
  return { running, started };
}

test("a program that ends because its port is taken gets another one", async () => {
  const port = await squatter();
  const { running, started } = await launch(probe(), [port]);
  const plugin = await running;
  expect(started).toHaveLength(2);
  expect(plugin.address).not.toMatchObject({ url: `http://127.0.0.1:${port}` });
  const url = plugin.address.kind === "http" ? plugin.address.url : "";
  expect((await callProbe(url)).environment.PORT).toBe(new URL(url).port);
});

test("who listens on the port already is not mistaken for a program that goes on without it", async () => {
  const port = await squatter();
  const { running, started } = await launch(probe(["--stay"]), [port]);
  const plugin = await running;
  expect(plugin.address).not.toMatchObject({ url: `http://127.0.0.1:${port}` });
  expect(await membersOf(started.slice(0, 1).map(({ pid }) => pid))).toEqual([]);
});

test("when every port is taken the error lists them, and nothing is left", async () => {
  const ports = [await squatter(), await squatter(), await squatter()];
  const { running, started } = await launch(probe(), ports);
  const error = await running.catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(PluginHostError);
  expect(error).toMatchObject({ code: "PORT_IN_USE", details: { ports } });
  expect(await membersOf(started.map(({ pid }) => pid))).toEqual([]);
});

test("a listener that left the program's group is still known as the program's", async () => {
  const { running } = await launch({ command: "setsid", args: ["--wait", process.execPath, ...probe().args] }, []);
  const plugin = await running;
  const url = plugin.address.kind === "http" ? plugin.address.url : "";
  const { environment } = await callProbe(url);
  expect(environment.PORT).toBe(new URL(url).port);
  // What leaves the group is not the host's to stop: the wire contract's Shutdown is for that.
  await fetch(`${url}/connectplugin.v1.PluginControl/Shutdown`, { method: "POST", body: "{}" });
});
