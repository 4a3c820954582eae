import { definePlugin, servePlugin } from "../../src/plugin/index.js";
import { streamContract } from "../contract/transports/stream-contract.js";
import type { OpenTransport, TransportUnderTest } from "../contract/transports/transport-under-test.js";
import { unaryContract } from "../contract/transports/unary-contract.js";
import { FakeHost } from "../support/fake-host.js";
import { Echo } from "../support/gen/echo/v1/echo_pb.js";

/** Two plugins without ports on links to a host that does nothing but forward frames. */
const overLinks =
  (at: "tcp" | "unix"): OpenTransport =>
  async (implementation) => {
    const host = await FakeHost.create({ links: true });
    if (at === "unix") await host.listen();
    const hostUrl = at === "unix" ? host.url : await host.listenTcp();
    const settings = { env: {}, hostUrl, listen: "never", graceMs: 500 } as const;
    const plugin = definePlugin({
      id: "provider",
      version: "1.0.0",
      provides: { echo: { service: Echo } },
      setup: () => ({ echo: implementation as never }),
    });
    const provider = await servePlugin(plugin, settings);
    let client: TransportUnderTest["client"] | undefined;
    const callerPlugin = definePlugin({
      id: "caller",
      version: "1.0.0",
      requires: { echo: { service: Echo } },
      setup: (context) => {
        client = context.client("echo");
      },
    });
    const caller = await servePlugin(callerPlugin, settings);
    return {
      client: client as TransportUnderTest["client"],
      caller: "caller",
      killProvider: () => provider.stop({ graceMs: 0 }),
      async [Symbol.asyncDispose]() {
        await caller.stop({ graceMs: 0 });
        await provider.stop({ graceMs: 0 });
        await host[Symbol.asyncDispose]();
      },
    };
  };

for (const at of ["tcp", "unix"] as const) {
  unaryContract(`between links over ${at}`, overLinks(at));
  streamContract(`between links over ${at}`, overLinks(at));
}
