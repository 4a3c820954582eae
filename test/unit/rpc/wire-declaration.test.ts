import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { DeclarationSchema } from "../../../src/gen/connectplugin/v1/common_pb.js";
import { HandshakeResponseSchema } from "../../../src/gen/connectplugin/v1/handshake_pb.js";
import { GetPluginInfoResponseSchema } from "../../../src/gen/connectplugin/v1/identity_pb.js";
import { fromDeclaration, fromPluginInfo, servicesOfHandshake } from "../../../src/rpc/wire-declaration.js";

test("everything of a plugin's info is taken over, and every dependency counts as declared", () => {
  const info = create(GetPluginInfoResponseSchema, {
    selfId: "cache",
    selfVersion: "1.2.0",
    provides: [{ type: "cache", version: "1.0.0", path: "/cache.v1.Cache/" }],
    requires: [
      { type: "logger", minVersion: "1.1.0", requiredForStartup: true, watchForChanges: true },
      { type: "trace" },
    ],
    metadata: { zone: "a" },
  });
  expect(fromPluginInfo(info)).toEqual({
    selfId: "cache",
    selfVersion: "1.2.0",
    provides: [{ type: "cache", version: "1.0.0", path: "/cache.v1.Cache/" }],
    requires: [
      { type: "logger", minVersion: "1.1.0", required: true, watch: true, source: "declared" },
      { type: "trace", minVersion: "", required: false, watch: false, source: "declared" },
    ],
    metadata: { zone: "a" },
  });
});

test.each([
  { info: {}, silentOn: ["provides", "requires"], why: "both are empty" },
  { info: { provides: [{ type: "cache" }] }, silentOn: ["requires"], why: "requires is empty" },
  { info: { requires: [{ type: "logger" }] }, silentOn: ["provides"], why: "provides is empty" },
  { info: { complete: true }, silentOn: undefined, why: "the plugin says that empty is empty" },
])("an empty list of a plugin's info says nothing, unless it says so: $why", ({ info, silentOn }) => {
  expect(fromPluginInfo(create(GetPluginInfoResponseSchema, info)).silentOn).toEqual(silentOn);
});

test("methods are taken over, from a plugin's info and from its handshake", () => {
  const requires = [{ type: "logger", methods: ["Log", "log.v1.Log/Tail"] }];
  const wanted = [expect.objectContaining({ type: "logger", methods: ["Log", "log.v1.Log/Tail"], source: "declared" })];
  expect(fromPluginInfo(create(GetPluginInfoResponseSchema, { requires })).requires).toEqual(wanted);
  const declaration = fromDeclaration("app", "1.0.0", create(DeclarationSchema, { requires }));
  expect(declaration).toMatchObject({ selfId: "app", selfVersion: "1.0.0", provides: [], requires: wanted });
});

test("a handshake server lists services, or is one itself under its path", () => {
  const answer = create(HandshakeResponseSchema, {
    plugins: [
      { name: "kv", version: "1.0.0", servicePath: "/kv.v1.KV/" },
      {
        name: "bundle",
        version: "2.0.0",
        servicePath: "/ignored/",
        provides: [
          { type: "a", version: "1.0.0", path: "/a/" },
          { type: "b", version: "1.1.0" },
        ],
      },
    ],
  });
  expect(servicesOfHandshake(answer)).toEqual([
    { type: "kv", version: "1.0.0", path: "/kv.v1.KV/" },
    { type: "a", version: "1.0.0", path: "/a/" },
    { type: "b", version: "1.1.0", path: "" },
  ]);
});
