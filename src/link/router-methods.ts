import type { DescMethod } from "@bufbuild/protobuf";
import type { ConnectRouter } from "@connectrpc/connect";
import type { InProcessMethod, InProcessOwner } from "../model/in-process-services.js";

/** An owner whose methods always answer, and for whose calls nobody waits. */
const alwaysThere: InProcessOwner = Object.freeze({ refusal: () => undefined, enter() {}, leave() {} });

/** The methods that `routes` registers, by path. What is not implemented is left out. */
export function routerMethods(
  routes: (router: ConnectRouter) => void,
  owner: InProcessOwner = alwaysThere,
): ReadonlyMap<string, InProcessMethod> {
  const methods = new Map<string, InProcessMethod>();
  const add = (method: DescMethod, implementation: unknown): void => {
    if (typeof implementation !== "function") return;
    const path = `/${method.parent.typeName}/${method.name}`;
    methods.set(path, { method, implementation: implementation as InProcessMethod["implementation"], owner });
  };
  const router: ConnectRouter = {
    handlers: [],
    service(service, implementation) {
      for (const method of service.methods) {
        const given = (implementation as Record<string, unknown>)[method.localName];
        add(method, typeof given === "function" ? given.bind(implementation) : undefined);
      }
      return this;
    },
    rpc(method, implementation) {
      add(method, implementation);
      return this;
    },
  };
  routes(router);
  return methods;
}
