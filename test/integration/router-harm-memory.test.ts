import { expect, test } from "vitest";
import { type Call, startCall, within } from "../support/http-server.js";
import { pluginRecord, startHttp1Provider, startHttp2Provider, startRouter } from "../support/router-host.js";

const patienceMs = 8_000;
const mebibyte = 1024 * 1024;
const path = "/services/logger/any/x";

const outs = [
  { out: "1.1", protocols: ["h1"] },
  { out: "2", protocols: ["h2c"] },
] as const;
const ways = (["1.1", "2"] as const).flatMap((version) => outs.map((out) => ({ version, ...out })));

/** What the whole process holds for bytes; provider and caller are in it too. */
const heldBytes = (): number => process.memoryUsage().arrayBuffers;

test.each(ways)(
  "a caller that does not read an answer of 256 MiB stops the provider, and little is held (HTTP/$version to $out)",
  async ({ version, out, protocols }) => {
    const part = Buffer.alloc(64 * 1024);
    const total = 256 * mebibyte;
    let written = 0;
    let stalled = (): void => {};
    const stall = new Promise<void>((resolve) => {
      stalled = resolve;
    });
    const flood = (sink: NodeJS.WritableStream): void => {
      const more = (): void => {
        if (written >= total) return void sink.end();
        written += part.length;
        if (sink.write(part)) return void setImmediate(more);
        const timer = setTimeout(stalled, 100);
        sink.once("drain", () => {
          clearTimeout(timer);
          more();
        });
      };
      more();
    };
    await using provider = await (out === "2"
      ? startHttp2Provider((stream) => {
          stream.respond({ ":status": 200 });
          flood(stream);
        })
      : startHttp1Provider((_request, response) => flood(response)));
    await using host = await startRouter();
    host.view.add(pluginRecord({ address: provider.address(protocols) }));
    const before = heldBytes();
    using call = startCall(host, version, { path, method: "GET" });
    call.request.end();
    const { body } = await within(patienceMs, "the head", call.head);
    body.pause();
    await within(patienceMs, "the stall", stall);
    expect(written).toBeLessThan(24 * mebibyte);
    expect(heldBytes() - before).toBeLessThan(24 * mebibyte);
    call.leave();
    expect(await within(patienceMs, "the event", host.event())).toMatchObject({ outcome: "caller-gone" });
  },
);

test.each(ways)(
  "a provider that does not read an upload of 256 MiB stops the caller, and little is held (HTTP/$version to $out)",
  async ({ version, out, protocols }) => {
    const part = Buffer.alloc(64 * 1024);
    let written = 0;
    await using provider = await (out === "2"
      ? startHttp2Provider(() => {})
      : startHttp1Provider((request) => void request.pause()));
    await using host = await startRouter({ headersTimeoutMs: 1_000 });
    host.view.add(pluginRecord({ address: provider.address(protocols) }));
    const before = heldBytes();
    using call: Call = startCall(host, version, { path });
    const stall = new Promise<void>((resolve) => {
      const more = (): void => {
        if (written >= 256 * mebibyte) return resolve();
        written += part.length;
        const timer = setTimeout(resolve, 100);
        // Not by "drain", which node:http tells of requests long before their bytes have left.
        call.request.write(part, () => {
          clearTimeout(timer);
          more();
        });
      };
      more();
    });
    await within(patienceMs, "the stall", stall);
    expect(written).toBeLessThan(24 * mebibyte);
    expect(heldBytes() - before).toBeLessThan(24 * mebibyte);
    call.leave();
    // Node sees no end of an HTTP/1.1 connection that it must not read on: there it is the provider's time that is over.
    const outcome = version === "2" ? "caller-gone" : expect.stringMatching(/caller-gone|provider-failed/);
    expect(await within(patienceMs, "the event", host.event())).toMatchObject({ outcome });
    expect(host.view.providers[0]?.inFlight.count).toBe(0);
  },
);
