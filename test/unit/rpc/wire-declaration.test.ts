import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { HandshakeResponseSchema } from "../../../src/gen/connectplugin/v1/handshake_pb.js";
import { GetPluginInfoResponseSchema } from "../../../src/gen/connectplugin/v1/identity_pb.js";
import { fromPluginInfo, servicesOfHandshake } from "../../../src/rpc/wire-declaration.js";

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
