import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { HostServer } from "../../src/host-server.js";
import type { ListenTarget } from "../../src/http/one-port-server.js";
import { type PlatformOptions, resolveOptions } from "../../src/options.js";

function server(options: PlatformOptions = {}): HostServer {
  const made = new HostServer({
    options: resolveOptions(options),
    handler: (exchange) => exchange.respond(200, [], true),
    onUpgrade: (_req, socket) => socket.destroy(),
    onError: (error) => {
      throw error;
    },
  });
  onTestFinished(() => made.close(0));
  return made;
}

const joinToken = "join-token-1";

test.each<{ target: ListenTarget; options: PlatformOptions; listens: boolean }>([
  { target: { port: 0 }, options: {}, listens: true },
  { target: { port: 0, host: "127.0.0.1" }, options: {}, listens: true },
  { target: { port: 0, host: "localhost" }, options: {}, listens: true },
  { target: { port: 0, host: "0.0.0.0" }, options: {}, listens: false },
  { target: { port: 0, host: "::" }, options: {}, listens: false },
  { target: { port: 0, host: "example.invalid" }, options: {}, listens: false },
  { target: { port: 0, host: "" }, options: {}, listens: false },
  { target: { port: 0, host: "0.0.0.0" }, options: { joinToken }, listens: true },
  { target: { port: 0, host: "0.0.0.0" }, options: { allowOpenAdmission: true }, listens: true },
])("listening on $target with $options: $listens", async ({ target, options, listens }) => {
  const listening = server(options).listen(target);
  if (listens) await expect(listening).resolves.toBeUndefined();
  else await expect(listening).rejects.toMatchObject({ code: "LISTEN_REFUSED" });
});

test.each([
  {
    target: { port: 0, hostname: "0.0.0.0" },
    field: "hostname",
    why: "it would listen on loopback, and nobody would be told",
  },
  { target: { port: 80_000 }, field: "port", why: "there is no such port" },
  { target: {}, field: "port", why: "nothing says where" },
  { target: undefined, field: "options", why: "nothing says where" },
  { target: { port: 0, host: 7 }, field: "host", why: "not a name" },
  { target: { path: "" }, field: "path", why: "not a path" },
])("refuses to listen on $target, naming $field: $why", async ({ target, field }) => {
  const made = server();
  await expect(made.listen(target as ListenTarget)).rejects.toMatchObject({ code: "INVALID_ARGUMENT", field });
  await expect(made.listen({ port: 0 })).resolves.toBeUndefined();
});

test("listening twice is refused, also while the first is under way", async () => {
  const host = server();
  const first = host.listen({ port: 0 });
  await expect(host.listen({ port: 0 })).rejects.toMatchObject({ code: "ALREADY_LISTENING" });
  await first;
  await expect(host.listen({ port: 0 })).rejects.toMatchObject({ code: "ALREADY_LISTENING" });
});

test("after a port that could not be had another one can", async () => {
  const taken = server();
  await taken.listen({ port: 0 });
  const port = Number(new URL(taken.url() ?? "").port);
  const host = server();
  await expect(host.listen({ port })).rejects.toMatchObject({ code: "EADDRINUSE" });
  expect(host.url()).toBeUndefined();
  await host.listen({ port: 0 });
  expect(host.url()).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
});

test("a wildcard address is handed out as loopback", async () => {
  const host = server({ joinToken });
  await host.listen({ port: 0, host: "0.0.0.0" });
  expect(host.url()).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
});

test("a Unix socket is handed out as unix:", async () => {
  const folder = await mkdtemp(join(tmpdir(), "host-server-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const host = server();
  await host.listen({ path: join(folder, "h.sock") });
  expect(host.url()).toBe(`unix:${join(folder, "h.sock")}`);
});

test("the public URL goes before where the host listens", async () => {
  const host = server({ publicUrl: "https://plugins.example.org/host/" });
  await host.listen({ port: 0 });
  expect(host.url()).toBe("https://plugins.example.org/host");
});

test("without a URL only modules can be told where the host is", () => {
  const host = server();
  expect(host.urlFor({ kind: "module", id: "m", connect: () => expect.fail("not called") })).toMatch(/^http:/);
  expect(() => host.urlFor({ kind: "http", url: "http://127.0.0.1:1", protocols: undefined })).toThrow(
    expect.objectContaining({ code: "HOST_URL_UNKNOWN", message: expect.stringContaining("publicUrl") }),
  );
});

test.each<{ options: PlatformOptions; host?: string; policy: string; why: string }>([
  { options: {}, policy: "local", why: "nobody but this machine reaches it" },
  { options: {}, host: "127.0.0.1", policy: "local", why: "nobody but this machine reaches it" },
  { options: { joinToken }, host: "127.0.0.1", policy: "local", why: "the token is for others" },
  { options: { joinToken }, host: "0.0.0.0", policy: "join-token", why: "everybody reaches it" },
  { options: { publicUrl: "https://plugins.example.org" }, policy: "join-token", why: "a proxy brings others" },
  { options: { publicUrl: "http://localhost:4000" }, policy: "local", why: "that is this machine" },
  { options: { allowOpenAdmission: true }, host: "0.0.0.0", policy: "open", why: "it was asked for" },
])("with $options on $host admission is $policy: $why", async ({ options, host: address, policy }) => {
  const host = server(options);
  if (address !== undefined) await host.listen({ port: 0, host: address });
  expect(host.admissionPolicy()).toBe(policy);
});

test("while the host listens nowhere, a connection's own address says whether it is of this machine", () => {
  const host = server();
  const from = (remoteAddress: string) =>
    host.isLoopback({ transport: "tcp", remoteAddress, encrypted: false, principal: undefined });
  expect([from("127.0.0.1"), from("::1"), from("10.0.0.7")]).toEqual([true, true, false]);
});
