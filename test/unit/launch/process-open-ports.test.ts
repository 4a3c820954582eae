import { spawn } from "node:child_process";
import { once } from "node:events";
import { expect, onTestFinished, test } from "vitest";
import { openPortsOf } from "../../../src/launch/process-open-ports.js";

test.runIf(process.platform === "linux")("finds where the processes of a group listen, of both families", async () => {
  const script = `
    const servers = ["127.0.0.1", "0.0.0.0", "::1"].map((host) => require("node:net").createServer().listen(0, host));
    const ready = servers.map((server) => new Promise((resolve) => server.on("listening", resolve).on("error", resolve)));
    Promise.all(ready).then(() => console.log(JSON.stringify(servers.map((server) => server.address()?.port))));
  `;
  const child = spawn(process.execPath, ["-e", script], { stdio: ["ignore", "pipe", "inherit"], detached: true });
  onTestFinished(async () => {
    child.kill("SIGKILL");
    await once(child, "exit");
  });
  const [line] = (await once(child.stdout, "data")) as [Buffer];
  const [loopback, all, six] = JSON.parse(line.toString()) as (number | null)[];
  const expected = [`127.0.0.1:${loopback}`, `0.0.0.0:${all}`, ...(six == null ? [] : [`[::1]:${six}`])];
  expect((await openPortsOf(child.pid ?? 0)).sort()).toEqual(expected.sort());
});

test("finds nothing for a group that does not exist", async () => {
  expect(await openPortsOf(2 ** 22 + 1)).toEqual([]);
});
