import { createRegistry } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { definePlugin } from "../../../src/plugin/define-plugin.js";

const plugin = (server?: unknown) =>
  definePlugin({
    id: "a",
    version: "1.0.0",
    ...(server === undefined ? {} : { server: server as object }),
    setup() {},
  });

test("without options a plugin reads and writes as Connect's servers do", () => {
  expect(plugin().definition.server).toEqual({
    readMaxBytes: 0xffff_ffff,
    writeMaxBytes: 0xffff_ffff,
    compressMinBytes: 1_024,
    jsonOptions: {},
  });
});

test("options are taken over, and later changes of the object are not seen", () => {
  const jsonOptions = { registry: createRegistry(), alwaysEmitImplicit: true };
  const given = { readMaxBytes: 1, writeMaxBytes: 2, compressMinBytes: 0, jsonOptions };
  const { server } = plugin(given).definition;
  expect(server).toEqual(given);
  jsonOptions.alwaysEmitImplicit = false;
  expect(server.jsonOptions.alwaysEmitImplicit).toBe(true);
  expect(Object.isFrozen(server)).toBe(true);
});

test.each([
  { server: 100, field: "server", why: "no object" },
  { server: { readMaxSize: 1 }, field: "server.readMaxSize", why: "no option" },
  { server: { readMaxBytes: 0 }, field: "server.readMaxBytes", why: "nothing could be read" },
  { server: { readMaxBytes: 2 ** 32 }, field: "server.readMaxBytes", why: "more than Connect allows" },
  { server: { readMaxBytes: "1" }, field: "server.readMaxBytes", why: "no number" },
  { server: { writeMaxBytes: 1.5 }, field: "server.writeMaxBytes", why: "no whole number" },
  {
    server: { writeMaxBytes: Number.POSITIVE_INFINITY },
    field: "server.writeMaxBytes",
    why: "more than Connect allows",
  },
  { server: { compressMinBytes: -1 }, field: "server.compressMinBytes", why: "negative" },
  { server: { jsonOptions: [] }, field: "server.jsonOptions", why: "no object" },
  { server: { jsonOptions: { registry: {} } }, field: "server.jsonOptions.registry", why: "no registry" },
  { server: { jsonOptions: { registry: null } }, field: "server.jsonOptions.registry", why: "no registry" },
])("$field is refused: $why", ({ server, field }) => {
  expect(() => plugin(server)).toThrow(expect.objectContaining({ code: "INVALID_ARGUMENT", field }));
});
