// Programs of a benchmark, pinned to a core, and stopped with it.
import { spawn, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/**
 * What is measured runs on the first core, what calls it and what it calls on the second. `both` is for comparisons in which
 * caller and callee are measured together.
 */
export const cores = { measured: 0, load: 1, both: "0,1" };

const program = (name) => fileURLToPath(new URL(`../programs/${name}.mjs`, import.meta.url));

/** Whether a command can be run. */
export const isInstalled = (command) => spawnSync("sh", ["-c", `command -v ${command}`]).status === 0;

/** Moves this process, which makes the load itself, to one core. Returns a function that lets it go again. */
export function moveTo(core) {
  const pin = (list) => spawnSync("taskset", ["-a", "-p", "-c", String(list), String(process.pid)]);
  pin(core);
  return () => void pin(cores.both);
}

/** Runs a command to its end on one core and returns what it printed. */
export function runPinned(core, command, args, env = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn("taskset", ["-c", String(core), command, ...args], { env: { ...process.env, ...env } });
    let output = "";
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (text) => (output += text));
    child.once("error", reject);
    child.once("close", (code) => {
      if (code === 0) resolve(output);
      else reject(new Error(`${command} ended with ${code}:\n${output}`));
    });
  });
}

/** The programs of one scenario. */
export class Programs {
  #children = [];

  /** Starts a program of `programs/`; resolves with its `pid` and the JSON line that it prints when it is ready. */
  async node(core, name, options = {}) {
    const flags = process.env.BENCH_NODE_FLAGS?.split(" ") ?? [];
    const child = this.#spawn(core, process.execPath, [...flags, program(name), JSON.stringify(options)]);
    return { pid: child.pid, ...JSON.parse(await firstLine(child)) };
  }

  /** Starts a server that says nothing; resolves with its `pid` when it answers on its port. */
  async server(core, command, args, port) {
    const child = this.#spawn(core, command, args);
    await answers(port, child);
    return { pid: child.pid };
  }

  async stop() {
    const children = this.#children.splice(0);
    await Promise.all(
      children.map(async (child) => {
        if (child.exitCode !== null || child.signalCode !== null) return;
        const closed = new Promise((resolve) => child.once("close", resolve));
        child.kill("SIGTERM");
        await closed;
      }),
    );
  }

  #spawn(core, command, args) {
    const child = spawn("taskset", ["-c", String(core), command, ...args], { stdio: ["ignore", "pipe", "inherit"] });
    this.#children.push(child);
    return child;
  }
}

function firstLine(child) {
  return new Promise((resolve, reject) => {
    let text = "";
    child.stdout.setEncoding("utf8").on("data", (more) => {
      text += more;
      const end = text.indexOf("\n");
      if (end !== -1) resolve(text.slice(0, end));
    });
    child.once("error", reject);
    child.once("close", (code) =>
      reject(new Error(`${child.spawnargs.join(" ")} ended with ${code} before it was ready`)),
    );
  });
}

/** Milliseconds of processor time that a process and its children have used. Counted in steps of 10. */
export function cpuMs(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1).split(" ");
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
  const own = (Number(fields[11]) + Number(fields[12])) * 10;
  return children === "" ? own : children.split(" ").reduce((sum, child) => sum + cpuMs(child), own);
}

/** Dials until somebody listens. */
async function answers(port, child) {
  const { connect } = await import("node:net");
  const deadline = Date.now() + 5_000;
  for (;;) {
    const socket = connect(port, "127.0.0.1");
    const connected = await new Promise((resolve) => {
      socket.once("connect", () => resolve(true));
      socket.once("error", () => resolve(false));
    });
    socket.destroy();
    if (connected) return;
    if (child.exitCode !== null || Date.now() > deadline) throw new Error(`nothing listens on port ${port}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Ports that are free now, for servers that cannot choose one themselves. */
export async function freePorts(count) {
  const { createServer } = await import("node:net");
  const servers = [];
  for (let index = 0; index < count; index++) {
    const server = createServer();
    await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
    servers.push(server);
  }
  const ports = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
