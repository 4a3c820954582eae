import type { DependencyGraph } from "./graph/dependency-graph.js";
import type { Unsubscribe } from "./internal/emitter.js";
import type { RuntimeId } from "./model/catalog.js";
import type { Catalog } from "./registry/catalog.js";

/** Keeps the graph the same as what is visible: every change of a plugin's services or needs reaches it in the same revision. */
export function projectGraph(catalog: Catalog, graph: DependencyGraph): Unsubscribe {
  const putIfChanged = (runtimeId: RuntimeId): void => {
    const plugin = catalog.plugin(runtimeId);
    if (plugin === undefined) {
      graph.remove(runtimeId);
      return;
    }
    const provides = catalog.registrationsOf(runtimeId);
    const known = graph.get(runtimeId);
    const same =
      known !== undefined &&
      known.requires === plugin.requires &&
      known.provides.length === provides.length &&
      known.provides.every((service, i) => service === provides[i]);
    // Most changes are of health, which the graph does not know.
    if (!same) graph.put({ id: runtimeId, name: plugin.selfId, provides, requires: plugin.requires });
  };
  const owners = new Map<string, RuntimeId>();
  return catalog.subscribe(({ changes }) => {
    const touched = new Set<RuntimeId>();
    for (const change of changes) {
      if (change.kind === "plugin-put") touched.add(change.plugin.runtimeId);
      else if (change.kind === "plugin-removed") touched.add(change.runtimeId);
      else if (change.kind === "registration-put") {
        const { registrationId, runtimeId } = change.registration;
        owners.set(registrationId, runtimeId);
        touched.add(runtimeId);
      } else if (change.kind === "registration-removed") {
        const owner = owners.get(change.registrationId);
        if (owner !== undefined) touched.add(owner);
        owners.delete(change.registrationId);
      }
    }
    for (const runtimeId of touched) {
      putIfChanged(runtimeId);
      // A removed plugin takes its registrations along without a change for each.
      if (!graph.has(runtimeId)) for (const [id, owner] of owners) if (owner === runtimeId) owners.delete(id);
    }
  });
}
