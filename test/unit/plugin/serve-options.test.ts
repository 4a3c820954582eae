import { expect, test } from "vitest";
import { resolveServeOptions } from "../../../src/plugin/serve-options.js";

test.each([
  { given: {}, env: {}, listen: { host: "127.0.0.1", port: 0 }, why: "any free port on loopback" },
  { given: {}, env: { PORT: "4001" }, listen: { host: "127.0.0.1", port: 4001 }, why: "PORT" },
  { given: {}, env: { PORT: "4001", HOSTNAME: "10.0.0.1" }, listen: { host: "10.0.0.1", port: 4001 }, why: "both" },
  {
    given: {},
    env: { HOSTNAME: "my-laptop" },
    listen: { host: "127.0.0.1", port: 0 },
    why: "a shell's HOSTNAME is not for us",
  },
  {
    given: { port: 5 },
    env: { PORT: "4001", HOSTNAME: "x" },
    listen: { host: "127.0.0.1", port: 5 },
    why: "options win",
  },
  { given: { host: "::1" }, env: { PORT: "4001" }, listen: { host: "::1", port: 4001 }, why: "mixed" },
  { given: { path: "/tmp/p.sock" }, env: { PORT: "4001" }, listen: { path: "/tmp/p.sock" }, why: "a socket" },
])("listens on $listen: $why", ({ given, env, listen }) => {
  expect(resolveServeOptions({ ...given, env }).listen).toEqual(listen);
});

test.each([
  { given: { env: { PORT: "http" } }, field: "PORT" },
  { given: { env: { PORT: "70000" } }, field: "PORT" },
  { given: { env: { HOST_URL: "nowhere" } }, field: "HOST_URL" },
  { given: { env: {}, hostUrl: "nowhere" }, field: "hostUrl" },
  { given: { env: {}, port: 1.5 }, field: "port" },
  { given: { env: {}, path: "/p", port: 1 }, field: "path" },
  { given: { env: {}, link: "on" as "auto" }, field: "link" },
  { given: { env: {}, listen: "no" as "never" }, field: "listen" },
  { given: { env: {}, listen: "never" as const }, field: "listen" },
  { given: { env: {}, hostUrl: "http://h:1", listen: "never" as const, link: "off" as const }, field: "listen" },
  { given: { env: {}, hostUrl: "http://h:1", listen: "never" as const, port: 0 }, field: "port" },
  { given: { env: {}, hostUrl: "http://h:1", listen: "never" as const, baseUrl: "http://me" }, field: "baseUrl" },
  { given: { env: {}, heartbeatMs: 0 }, field: "heartbeatMs" },
  { given: { env: {}, startTimeoutMs: 0 }, field: "startTimeoutMs" },
  { given: { env: {}, graceMs: Number.NaN }, field: "graceMs" },
])("refuses a bad $field", ({ given, field }) => {
  expect(() => resolveServeOptions(given)).toThrow(expect.objectContaining({ code: "INVALID_ARGUMENT", field }));
});

test("listens nowhere if told so, whatever PORT says", () => {
  const env = { HOST_URL: "http://h:1", PORT: "4001" };
  expect(resolveServeOptions({ env, listen: "never" })).toMatchObject({ listen: "never", link: "auto" });
});

test("takes the host and the join token from the environment where no option is given", () => {
  const env = { HOST_URL: "http://h:1/", CONNECT_PLUGIN_JOIN_TOKEN: "t" };
  expect(resolveServeOptions({ env })).toMatchObject({ host: { origin: "http://h:1" }, handshake: { joinToken: "t" } });
  expect(resolveServeOptions({ env, hostUrl: "", handshake: { joinToken: "u" } })).toMatchObject({
    host: undefined,
    handshake: { joinToken: "u", cookieKey: "CONNECT_PLUGIN" },
  });
});

const launched = { HOST_URL: "http://127.0.0.1:4000/_launch/abc", HOST_FEATURES: "h2c,link-v1", PORT: "4001" };
const listening = { host: "127.0.0.1", port: 4001 };

test.each([
  { why: "its host takes links", env: launched, listen: "never" },
  { why: "nobody launched it", env: { ...launched, HOST_URL: "http://127.0.0.1:4000" }, listen: listening },
  { why: "its host says nothing", env: { ...launched, HOST_FEATURES: undefined }, listen: listening },
  { why: "its host takes no links", env: { ...launched, HOST_FEATURES: "h2c" }, listen: listening },
  { why: "it wants no link", env: launched, given: { link: "off" }, listen: listening },
  { why: "it always listens", env: launched, given: { listen: "always" }, listen: listening },
  { why: "it has a port of its own", env: launched, given: { port: 5000 }, listen: { ...listening, port: 5000 } },
  { why: "it has another host", env: launched, given: { hostUrl: "http://127.0.0.1:9" }, listen: listening },
] as const)("where a launched program listens if $why: $listen", ({ env, listen, ...rest }) => {
  const given = "given" in rest ? rest.given : {};
  expect(resolveServeOptions({ ...given, env })).toMatchObject({ listen });
});
