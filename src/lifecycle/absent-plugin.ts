import type { LivePlugin } from "./live-plugin.js";
import type { StartContext, StartSpec } from "./start-spec.js";

// What a program is called that nobody knows anything of.
const namelessId = "plugin";

/**
 * Shows a plugin that failed to start as one that has ended, so that it can be seen, tried again, replaced and removed. Its
 * identity is worth nothing. What was declared for it is registered, so that who asks for it hears why it is not there.
 *
 * @throws PluginHostError `HOST_STOPPED`, `LIMIT_REACHED`
 */
export function showAbsent(
  { directory, ports, supervisor }: StartContext,
  spec: StartSpec,
  error: unknown,
): LivePlugin {
  const { declares, launcher } = spec;
  const selfId = declares?.selfId ?? namelessId;
  const selfVersion = declares?.selfVersion ?? "";
  directory.assertAccepting();
  const { runtimeId } = ports.identities.issue(selfId, selfVersion);
  ports.identities.revoke(runtimeId);
  const { origin } = launcher;
  const address = { kind: "external" } as const;
  const plugin = directory.create({
    runtimeId,
    selfId,
    selfVersion,
    origin,
    address,
    visibility: { kind: "staged" },
  });
  if (declares !== undefined) {
    plugin.declare(declares);
    for (const service of declares.provides) directory.services.put(plugin, { ...service, metadata: {} });
  }
  supervisor.watchAbsent(plugin, spec, error, declares === undefined);
  directory.commit(plugin);
  return plugin;
}
