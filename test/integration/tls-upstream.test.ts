import https from "node:https";
import type { AddressInfo } from "node:net";
import type { TLSSocket } from "node:tls";
import { expect, onTestFinished, test } from "vitest";
import { Platform } from "../../src/index.js";
import { createAuthority } from "../support/certificates.js";
import { within } from "../support/http-server.js";

const north = createAuthority("North");
const south = createAuthority("South");
const clients = createAuthority("Clients");

/** A service over HTTP/1.1 and TLS that answers with the name in the certificate of who calls. */
async function startProvider(options: https.ServerOptions) {
  const server = https.createServer(
    { ...options, requestCert: true, rejectUnauthorized: false, ca: clients.ca },
    (req, res) => {
      const { subject } = (req.socket as TLSSocket).getPeerCertificate();
      res.end(`for ${subject?.CN ?? "nobody"}`);
    },
  );
  server.on("tlsClientError", () => {});
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { server, endpoint: `https://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

async function startPlatform(options: ConstructorParameters<typeof Platform>[0] = {}) {
  // A connection for each call; what fails here is not to count as ill health.
  const platform = new Platform({
    ...options,
    router: { ...options.router, idleSocketMs: 0 },
    health: { fallThreshold: 100, ejectAfterFailures: 100 },
    limits: { connectGraceMs: 0 },
    ingress: [
      { prefix: "/north", type: "north", access: "open" },
      { prefix: "/south", type: "south", access: "open" },
    ],
  });
  onTestFinished(() => platform.stop());
  await platform.listen();
  const ask = async (type: string) => {
    const answer = await within(5_000, type, fetch(`${platform.url}/${type}/`));
    return `${answer.status} ${(await answer.text()).slice(0, 60)}`;
  };
  return { platform, ask };
}

const declares = (type: string) => ({
  selfId: type,
  provides: [{ type, version: "1.0.0" }],
  metadata: { health_path: "/" },
});

test("each endpoint may have authorities, a name and a certificate of the host of its own", async () => {
  const one = await startProvider(north.issue({ names: ["north.internal"] }));
  const other = await startProvider(south.issue());
  const { cert, key } = clients.issue({ names: ["host-to-north"] });
  const { platform, ask } = await startPlatform({ router: { tls: { ca: south.ca } } });
  const tls = { ca: north.ca, servername: "north.internal", cert, key };
  await platform.addPlugin({ endpoint: one.endpoint, tls, declares: declares("north") });
  await platform.addPlugin({ endpoint: other.endpoint, declares: declares("south") });
  expect(await ask("north")).toBe("200 for host-to-north");
  expect(await ask("south")).toBe("200 for nobody");
});

test("certificates towards providers are changed without a restart, for all of them and for one", async () => {
  const one = await startProvider(north.issue());
  const other = await startProvider(north.issue());
  const { platform, ask } = await startPlatform({ router: { tls: { ca: north.ca } } });
  await platform.addPlugin({ endpoint: one.endpoint, declares: declares("north") });
  const { runtimeId } = await platform.addPlugin({
    endpoint: other.endpoint,
    tls: { ca: north.ca },
    declares: declares("south"),
  });
  for (const { server } of [one, other]) server.setSecureContext({ ...south.issue(), ca: clients.ca });
  expect([await ask("north"), await ask("south")]).toEqual([
    expect.stringMatching(/^502 /),
    expect.stringMatching(/^502 /),
  ]);
  const { cert, key } = clients.issue({ names: ["the-host"] });
  platform.setUpstreamTls({ ca: south.ca, cert, key });
  expect([await ask("north"), await ask("south")]).toEqual(["200 for the-host", expect.stringMatching(/^502 /)]);
  platform.setUpstreamTls({ ca: south.ca }, runtimeId);
  expect([await ask("north"), await ask("south")]).toEqual(["200 for the-host", "200 for nobody"]);
});

test("certificates that cannot be used change nothing, and are named", async () => {
  const one = await startProvider(north.issue());
  const { platform, ask } = await startPlatform({ router: { tls: { ca: north.ca } } });
  const { runtimeId } = await platform.addPlugin({ endpoint: one.endpoint, declares: declares("north") });
  expect(() => platform.setUpstreamTls({ ca: "nonsense" })).toThrow(
    expect.objectContaining({ code: "INVALID_ARGUMENT", field: "router.tls.ca" }),
  );
  expect(() => platform.setUpstreamTls({ ca: south.ca }, runtimeId)).toThrow(
    expect.objectContaining({ code: "TLS_OFF" }),
  );
  expect(() => platform.setUpstreamTls({}, "nobody-1")).toThrow(expect.objectContaining({ code: "PLUGIN_NOT_FOUND" }));
  expect(await ask("north")).toBe("200 for nobody");
});

test.each([
  { why: "in cleartext", spec: { endpoint: "http://127.0.0.1:1", tls: {} }, field: "tls" },
  { why: "of a program", spec: { command: "true", tls: {} } as never, field: "tls" },
  { why: "with a bad authority", spec: { endpoint: "https://127.0.0.1:1", tls: { ca: "x" } }, field: "tls.ca" },
])("tls of a plugin $why is refused", async ({ spec, field }) => {
  const { platform } = await startPlatform();
  await expect(platform.addPlugin(spec)).rejects.toMatchObject({ code: "INVALID_ARGUMENT", field });
});
