import type { HandshakeResponse } from "../gen/connectplugin/v1/handshake_pb.js";
import type { GetPluginInfoResponse } from "../gen/connectplugin/v1/identity_pb.js";
import type { PluginDeclaration, ServiceDeclaration } from "../model/declarations.js";

/** What a plugin says of itself over the wire. Not checked yet. */
export const fromPluginInfo = (info: GetPluginInfoResponse): PluginDeclaration => ({
  selfId: info.selfId,
  selfVersion: info.selfVersion,
  provides: info.provides.map(({ type, version, path }) => ({ type, version, path })),
  requires: info.requires.map(({ type, minVersion, requiredForStartup, watchForChanges }) => ({
    type,
    minVersion,
    required: requiredForStartup,
    watch: watchForChanges,
    source: "declared" as const,
  })),
  metadata: info.metadata,
});

/**
 * The services that a handshake server lists: what each of its plugins provides, or, where it does not say, the plugin
 * itself as a service type under its path.
 */
export const servicesOfHandshake = ({ plugins }: HandshakeResponse): ServiceDeclaration[] =>
  plugins.flatMap(({ name, version, servicePath, provides }) =>
    provides.length === 0
      ? [{ type: name, version, path: servicePath }]
      : provides.map((service) => ({ type: service.type, version: service.version, path: service.path })),
  );
