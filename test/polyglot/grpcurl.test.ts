import { execFile } from "node:child_process";
import { join } from "node:path";
import { Platform, type PlatformOptions } from "connect-plugin-host";
import { describe, expect, inject, onTestFinished, test } from "vitest";
import { joinAsPlugin } from "./caller.js";
import { startGoGrpcPlugin } from "./program.js";

/** What grpcurl printed, and its exit code. */
interface Result {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

async function startHost(options: PlatformOptions = {}) {
  const platform = new Platform(options);
  onTestFinished(() => platform.stop());
  await platform.listen();
  const { host } = new URL(platform.url ?? "");
  /** Runs grpcurl against the host. */
  const grpcurl = (flags: readonly string[], ...words: readonly string[]): Promise<Result> =>
    new Promise((resolve) => {
      execFile(
        join(inject("goPlugins"), "grpcurl"),
        ["-plaintext", "-max-time", "10", ...flags, host, ...words],
        (error, out, err) => resolve({ code: error === null ? 0 : Number(error.code), out, err }),
      );
    });
  const addGrpcPlugin = async () => {
    const program = await startGoGrpcPlugin({ selfId: "go-grpc" });
    return platform.addPlugin({
      endpoint: program.url,
      declares: {
        selfId: "go-grpc",
        selfVersion: "1.0.0",
        provides: [{ type: "echo", version: "1.0.0", path: "/echo.v1.Echo/" }],
        metadata: { protocols: "h2c" },
      },
    });
  };
  return { platform, grpcurl, addGrpcPlugin, url: platform.url ?? "" };
}

const lines = (text: string): string[] => text.trim().split("\n");

describe("grpcurl on the host itself", () => {
  test("lists its services, the admin service only when it is on", async () => {
    const open = await startHost();
    const withAdmin = await startHost({ adminToken: "an-operators-token" });

    const listed = lines((await open.grpcurl([], "list")).out);

    expect(listed).toEqual([
      "connectplugin.health.v1.HealthService",
      "connectplugin.v1.CapabilityBroker",
      "connectplugin.v1.HandshakeService",
      "connectplugin.v1.PluginLifecycle",
      "connectplugin.v1.ServiceRegistry",
      "grpc.health.v1.Health",
      "grpc.reflection.v1.ServerReflection",
      "grpc.reflection.v1alpha.ServerReflection",
    ]);
    expect(lines((await withAdmin.grpcurl([], "list")).out)).toEqual([
      "connectplugin.admin.v1.PlatformService",
      ...listed,
    ]);
  });

  test("describes every service and every message of it, so that nothing is missing from the files", async () => {
    const { grpcurl } = await startHost({ adminToken: "an-operators-token" });

    for (const service of lines((await grpcurl([], "list")).out)) {
      const described = await grpcurl([], "describe", service);
      expect(described.code, described.err).toBe(0);
      const types = new Set([...described.out.matchAll(/\(\s*(?:stream )?\.([\w.]+)\s*\)/g)].map(([, type]) => type));
      expect(types.size, service).toBeGreaterThan(0);
      for (const type of types)
        expect((await grpcurl([], "describe", type ?? "")).out).toContain(`${type} is a message`);
    }
  });

  test("calls it by what reflection said alone: health, a handshake, and an error", async () => {
    const { grpcurl } = await startHost();

    expect(JSON.parse((await grpcurl([], "grpc.health.v1.Health/Check")).out)).toEqual({ status: "SERVING" });
    const unknown = await grpcurl(["-d", '{"service":"nobody"}'], "grpc.health.v1.Health/Check");
    expect(unknown.err).toContain("Code: NotFound");
    const hello = {
      core_protocol_version: 1,
      app_protocol_version: 1,
      magic_cookie_key: "CONNECT_PLUGIN",
      magic_cookie_value: "d3f40b3c2e1a5f8b9c4d7e6a1b2c3d4e",
      self_id: "grpcurl",
    };
    const shaken = await grpcurl(["-d", JSON.stringify(hello)], "connectplugin.v1.HandshakeService/Handshake");
    expect(JSON.parse(shaken.out)).toMatchObject({ runtimeId: expect.stringMatching(/^grpcurl-/) });
    const refused = await grpcurl(["-d", '{"service_type":"x"}'], "connectplugin.v1.ServiceRegistry/DiscoverService");
    expect(refused.err).toContain("Code: Unauthenticated");
  });

  test("is told of what does not exist", async () => {
    const { grpcurl } = await startHost();

    const { code, err } = await grpcurl([], "describe", "connectplugin.v1.Nothing");

    expect(code).not.toBe(0);
    expect(err).toContain("Symbol not found: connectplugin.v1.Nothing");
  });
});

describe("grpcurl on a Go gRPC server exposed at the root of the host", () => {
  const exposed: PlatformOptions = { ingress: [{ prefix: "/", type: "echo", access: "open" }] };

  test("gets the server's own reflection and health, and calls it", async () => {
    const { grpcurl, addGrpcPlugin } = await startHost(exposed);
    await addGrpcPlugin();

    expect(lines((await grpcurl([], "list")).out)).toEqual([
      "echo.v1.Echo",
      "grpc.health.v1.Health",
      "grpc.reflection.v1.ServerReflection",
      "grpc.reflection.v1alpha.ServerReflection",
    ]);
    const health = await grpcurl(["-d", '{"service":"broken"}'], "grpc.health.v1.Health/Check");
    expect(JSON.parse(health.out)).toEqual({ status: "NOT_SERVING" });
    const said = await grpcurl(["-v", "-d", '{"text":"hi"}'], "echo.v1.Echo/Say");
    expect(said.out).toContain('"provider": "go-grpc"');
    expect(said.out).toContain("x-caller: [ingress]");
    const stream = await grpcurl(["-d", '{"text":"a"}{"text":"b"}'], "echo.v1.Echo/BidiStream");
    expect([...stream.out.matchAll(/"text": "(\w)"/g)].map(([, text]) => text)).toEqual(["a", "b"]);
    expect((await grpcurl(["-d", '{"text":"fail"}'], "echo.v1.Echo/Say")).err).toContain("Code: AlreadyExists");
  });

  test("says that the server is not there while it is not", async () => {
    const { grpcurl } = await startHost(exposed);

    const { code, err } = await grpcurl([], "list");

    expect(code).not.toBe(0);
    expect(err).toContain("code = NotFound");
    expect(err).toContain('"echo"');
  });
});

test("grpcurl reaches a Go gRPC server by X-Plugin-Target, its reflection too, with a plugin's identity", async () => {
  const { grpcurl, addGrpcPlugin, url } = await startHost();
  const { runtimeId } = await addGrpcPlugin();
  const credentials = Object.entries(await joinAsPlugin(url, "tool")).flatMap(([name, value]) => [
    "-H",
    `${name}: ${value}`,
  ]);
  const target = (id: string) => [...credentials, "-H", `x-plugin-target: echo/${id}`];

  expect(lines((await grpcurl(target("any"), "list")).out)).toContain("echo.v1.Echo");
  const said = await grpcurl([...target(runtimeId), "-v", "-d", '{"text":"hi"}'], "echo.v1.Echo/Say");
  expect(said.out).toMatch(/x-caller: \[tool-[0-9a-f]+\]/);
  expect((await grpcurl(["-H", "x-plugin-target: echo/any"], "list")).err).toContain("Unauthenticated");
});
