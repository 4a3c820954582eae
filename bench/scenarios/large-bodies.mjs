// Bodies of 1 GiB down and up over HTTP/1.1, then a caller that reads slowly and a provider that reads slowly.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { download, downloadSlowly, upload, uploadFor } from "../lib/bulk.mjs";
import { collectedMemory, resetPeak, residentKiB } from "../lib/memory.mjs";
import { nginxUnbuffered } from "../lib/peers.mjs";
import { cores, cpuMs, freePorts, moveTo, Programs } from "../lib/processes.mjs";
import { alternate, median } from "../lib/statistics.mjs";

export const title = "bodies of 1 GiB, and slow readers";
export const tools = ["nginx"];

const mib = 2 ** 20;
const checkBytes = 8 * mib;
const slowBytesPerSecond = 8 * mib;
const slowMs = 3_000;

async function check(base, headers) {
  const body = Buffer.alloc(checkBytes, "0123456789abcdef");
  const hash = (bytes) => createHash("sha256").update(bytes).digest("hex");
  const down = await fetch(`${base}/down?bytes=${checkBytes}`, { headers });
  assert.equal(hash(Buffer.from(await down.arrayBuffer())), hash(body));
  const up = await fetch(`${base}/up?hash=1`, { method: "POST", headers, body });
  assert.equal(await up.text(), `${checkBytes} ${hash(body)}`);
}

export async function run({ rounds, gib = 1 }) {
  const programs = new Programs();
  const letGo = moveTo(cores.load);
  const bytes = Math.round(gib * 2 ** 30);
  try {
    const { port: providerPort } = await programs.node(cores.load, "bulk-provider");
    const [nginxPort] = await freePorts(1);
    const nginx = await nginxUnbuffered(programs, nginxPort, providerPort);
    const router = await programs.node(cores.measured, "router", { providerPort, protocols: "h1", memory: true });
    const { headers } = router.caller;
    const bases = {
      router: `${router.url}/services/echo/${router.providerId}`,
      nginx: `http://127.0.0.1:${nginxPort}/services/echo/any`,
      direct: `http://127.0.0.1:${providerPort}`,
    };
    const pids = { router: router.pid, nginx: nginx.pid };
    const grown = {};
    /** Mebibytes by which the router grows over what it keeps without load. */
    const growth = async (name, work) => {
      await collectedMemory(router.memoryUrl);
      resetPeak(router.pid);
      const before = residentKiB(router.pid).now;
      const result = await work();
      grown[name] = Math.max(grown[name] ?? 0, (residentKiB(router.pid).peak - before) / 1024);
      return result;
    };
    const costs = {};
    const transfer = { down: (base, size) => download(`${base}/down?bytes=${size}`, headers, size) };
    transfer.up = (base, size) => upload(`${base}/up`, headers, size);
    const contestants = {};
    for (const [place, base] of Object.entries(bases)) {
      await check(base, headers);
      for (const [direction, move] of Object.entries(transfer)) {
        const name = `${direction}, ${place}`;
        // Also grows heaps and buffers of connections to what they have in use.
        await move(base, 128 * mib);
        contestants[`MiB/s ${name}`] = async () => {
          const before = pids[place] === undefined ? 0 : cpuMs(pids[place]);
          const work = () => move(base, bytes);
          const rate = await (place === "router" ? growth(direction, work) : work());
          if (pids[place] !== undefined)
            costs[name] = [...(costs[name] ?? []), (cpuMs(pids[place]) - before) / (bytes / 2 ** 30)];
          return rate / mib;
        };
      }
    }
    const values = await alternate(rounds, contestants);
    const { router: base } = bases;
    const slow = await growth("slow caller", () =>
      downloadSlowly(`${base}/down?bytes=${2 ** 30}`, headers, slowBytesPerSecond, slowMs),
    );
    // More than that is on its way in the kernel's buffers.
    assert(slow > (slowBytesPerSecond * slowMs) / 2_000, `a slow caller got only ${slow} bytes`);
    const taken = await growth("slow provider", () =>
      uploadFor(`${base}/up?bytesPerSecond=${slowBytesPerSecond}`, headers, slowMs),
    );
    assert(taken > (slowBytesPerSecond * slowMs) / 2_000, `a slow provider got only ${taken} bytes`);
    const one = (value) => ({ median: value, values: [value] });
    const against = (direction) =>
      values[`MiB/s ${direction}, router`].median / values[`MiB/s ${direction}, nginx`].median;
    const cost = (direction) => median(costs[`${direction}, nginx`]) / median(costs[`${direction}, router`]);
    return {
      unit: "",
      values: {
        ...values,
        ...Object.fromEntries(
          Object.entries(costs).map(([name, list]) => [`CPU ms a GiB ${name}`, { median: median(list), values: list }]),
        ),
        ...Object.fromEntries(Object.entries(grown).map(([name, value]) => [`MiB grown, ${name}`, one(value)])),
      },
      ratios: [
        { name: "down, router / nginx", ratio: against("down"), atLeast: 1 },
        { name: "up, router / nginx", ratio: against("up"), atLeast: 1 },
        { name: "down, CPU of nginx / CPU of the router", ratio: cost("down") },
        { name: "up, CPU of nginx / CPU of the router", ratio: cost("up") },
        ...Object.entries(grown).map(([name, value]) => ({
          name: `memory grown / 64 MiB, ${name}`,
          ratio: value / 64,
          atMost: 1,
        })),
      ],
    };
  } finally {
    letGo();
    await programs.stop();
  }
}
