import type {
  Declaration,
  ServiceDependency as WireDependency,
  ServiceDeclaration as WireService,
} from "../gen/connectplugin/v1/common_pb.js";
import type { HandshakeResponse } from "../gen/connectplugin/v1/handshake_pb.js";
import type { GetPluginInfoResponse } from "../gen/connectplugin/v1/identity_pb.js";
import type { PluginDeclaration, ServiceDeclaration, ServiceDependency } from "../model/declarations.js";

/** Services that a plugin says it provides. Not checked yet. */
const fromServices = (services: readonly WireService[]): ServiceDeclaration[] =>
  services.map(({ type, version, path }) => ({ type, version, path }));

/** What a plugin says it requires. Not checked yet. */
const fromDependencies = (dependencies: readonly WireDependency[]): ServiceDependency[] =>
  dependencies.map(({ type, minVersion, requiredForStartup, watchForChanges, methods }) => ({
    type,
    minVersion,
    required: requiredForStartup,
    watch: watchForChanges,
    ...(methods.length > 0 && { methods }),
    source: "declared",
  }));

/** What a plugin says of itself over the wire. Not checked yet. */
export const fromPluginInfo = (info: GetPluginInfoResponse): PluginDeclaration => ({
  selfId: info.selfId,
  selfVersion: info.selfVersion,
  provides: fromServices(info.provides),
  requires: fromDependencies(info.requires),
  metadata: info.metadata,
  ...silence(info),
});

/** Many plugins leave lists empty that they could fill in; see GetPluginInfoResponse.complete. */
function silence({ provides, requires, complete }: GetPluginInfoResponse): Pick<PluginDeclaration, "silentOn"> {
  const silentOn: NonNullable<PluginDeclaration["silentOn"]>[number][] = [];
  if (!complete && provides.length === 0) silentOn.push("provides");
  if (!complete && requires.length === 0) silentOn.push("requires");
  return silentOn.length === 0 ? {} : { silentOn };
}

/** What a plugin says in its handshake: all that it provides and requires. Not checked yet. */
export const fromDeclaration = (
  selfId: string,
  selfVersion: string,
  { provides, requires }: Pick<Declaration, "provides" | "requires">,
): PluginDeclaration => ({
  selfId,
  selfVersion,
  provides: fromServices(provides),
  requires: fromDependencies(requires),
  metadata: {},
});

/**
 * The services that a handshake server lists: what each of its plugins provides, or, where it does not say, the plugin
 * itself as a service type under its path.
 */
export const servicesOfHandshake = ({ plugins }: HandshakeResponse): ServiceDeclaration[] =>
  plugins.flatMap(({ name, version, servicePath, provides }) =>
    provides.length === 0 ? [{ type: name, version, path: servicePath }] : fromServices(provides),
  );
