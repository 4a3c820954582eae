import type { DescMethod } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import type { InFlight } from "../internal/in-flight.js";
import type { InProcessMethod, InProcessOwner, InProcessServices } from "../model/in-process-services.js";
import { stopping } from "./plugin-handler.js";
import type { ResolvedDefinition } from "./resolve-definition.js";

/** What calls within the process need of a plugin. */
export interface ModuleServicesOptions {
  readonly definition: ResolvedDefinition;
  /** Counts the calls of the provided services. */
  readonly inFlight: InFlight;
  /** What `setup` returned, by service type. */
  readonly implementations: Promise<Readonly<Record<string, unknown>>>;
  /** Whether new calls are refused, because the plugin stops. */
  readonly refusing: () => boolean;
}

/**
 * The methods of what a plugin provides with a description, for calls that need no connection. There are none before `setup` has
 * finished.
 */
export function moduleServices({
  definition,
  inFlight,
  implementations,
  refusing,
}: ModuleServicesOptions): InProcessServices {
  const owner: InProcessOwner = {
    refusal: () => (refusing() ? stopping : undefined),
    enter: (call) => inFlight.enter(call),
    leave: (call) => inFlight.leave(call),
  };
  const methods = new Map<string, InProcessMethod>();
  const add = (given: Readonly<Record<string, unknown>>): void => {
    for (const { type, kind, path } of definition.provides) {
      if (kind.name !== "connect") continue;
      for (const method of kind.service.methods) {
        const implementation = implementationOf(given[type] as Readonly<Record<string, unknown>>, method);
        methods.set(path + method.name, { method, implementation, owner, messages: definition.server });
      }
    }
  };
  // Who fails to set up is told elsewhere.
  implementations.then(add, () => {});
  return { find: (path) => methods.get(path) };
}

function implementationOf(
  service: Readonly<Record<string, unknown>>,
  method: DescMethod,
): InProcessMethod["implementation"] {
  const implementation = service[method.localName];
  if (typeof implementation === "function") return implementation.bind(service);
  const message = `${method.parent.typeName}.${method.name} is not implemented`;
  return () => {
    throw new ConnectError(message, Code.Unimplemented);
  };
}
