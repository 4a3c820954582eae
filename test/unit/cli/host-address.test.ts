import { expect, test } from "vitest";
import { CliError } from "../../../src/cli/cli-error.js";
import { type HostOptions, hostAddress, isLocal } from "../../../src/cli/host-address.js";
import { fakeEnvironment } from "../../support/cli.js";

const find = (options: HostOptions, variables: Record<string, string> = {}) =>
  hostAddress(options, fakeEnvironment({ variables }));
const url = "http://127.0.0.1:4000";

test.each<{ options: HostOptions; variables?: Record<string, string>; found: object; why: string }>([
  { options: { host: url }, found: { kind: "url", url }, why: "an option" },
  { options: { host: `${url}/` }, found: { kind: "url", url }, why: "no slash at the end" },
  { options: { host: `${url}/a/b/` }, found: { kind: "url", url: `${url}/a/b` }, why: "a host under a path" },
  { options: { socket: "/a.sock" }, found: { kind: "socket", path: "/a.sock" }, why: "a socket" },
  { options: { host: "unix:/a.sock" }, found: { kind: "socket", path: "/a.sock" }, why: "a socket as URL" },
  { options: {}, variables: { CONNECT_PLUGIN_HOST_URL: url }, found: { kind: "url", url }, why: "a variable" },
  {
    options: {},
    variables: { CONNECT_PLUGIN_HOST_URL: url, CONNECT_PLUGIN_HOST_SOCKET: "/a.sock" },
    found: { kind: "socket", path: "/a.sock" },
    why: "a socket comes first",
  },
  {
    options: { host: url },
    variables: { CONNECT_PLUGIN_HOST_SOCKET: "/a.sock" },
    found: { kind: "url", url },
    why: "an option comes before variables",
  },
])("finds $found ($why)", ({ options, variables, found }) => {
  expect(find(options, variables)).toEqual(found);
});

test.each<{ options: HostOptions; variables?: Record<string, string>; message: RegExp }>([
  { options: {}, message: /which host/ },
  { options: {}, variables: { CONNECT_PLUGIN_HOST_URL: "" }, message: /which host/ },
  { options: { host: url, socket: "/a" }, message: /two hosts/ },
  { options: { host: "127.0.0.1:4000" }, message: /--host must be a URL/ },
  { options: { host: "ftp://127.0.0.1" }, message: /--host must be a URL/ },
  { options: { host: "http://user:secret@127.0.0.1" }, message: /^--host must be a URL without user[^@]*$/ },
  { options: { host: `${url}?token=x` }, message: /without user, query/ },
  { options: { socket: "" }, message: /--socket/ },
  { options: {}, variables: { CONNECT_PLUGIN_HOST_URL: "x" }, message: /CONNECT_PLUGIN_HOST_URL must be a URL/ },
])("refuses $options $variables", ({ options, variables, message }) => {
  const run = () => find(options, variables);
  expect(run).toThrow(message);
  expect(run).toThrow(CliError);
});

test.each([
  { host: url, local: true },
  { host: "http://localhost:1", local: true },
  { host: "http://[::1]:1", local: true },
  { host: "unix:/a", local: true },
  { host: "http://127.example.org", local: false },
  { host: "http://10.0.0.1", local: false },
])("$host is on this machine: $local", ({ host, local }) => {
  expect(isLocal(find({ host }))).toBe(local);
});
