import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import { PluginHostError } from "../errors.js";
import type { CapabilityBroker as WireBroker } from "../gen/connectplugin/v1/broker_pb.js";
import type { ConnectionInfo } from "../http/exchange.js";
import type { Principal } from "../model/principal.js";
import { callerOf, callingPlugin } from "./caller.js";

/** What requests for capabilities work on. */
export interface BrokerPort {
  /** Whether callers without a plugin's identity may ask. */
  readonly allowAnonymous: boolean;
  /** Base URL of the host for who asks over this connection. @throws PluginHostError `HOST_URL_UNKNOWN` */
  hostUrl(connection: ConnectionInfo): string;
  request(request: {
    readonly caller: Principal;
    readonly type: string;
    readonly minVersion: string;
    readonly reason: string;
  }): { readonly grantId: string; readonly token: string; readonly type: string; readonly version: string };
}

/** `connectplugin.v1.CapabilityBroker`. */
export const brokerRpc = (port: BrokerPort): ServiceImpl<typeof WireBroker> => ({
  requestCapability(request, context) {
    const caller = port.allowAnonymous ? anyCaller(context) : callingPlugin(context);
    // Before anything is granted: without it nobody could use the grant.
    const hostUrl = port.hostUrl(callerOf(context).connection);
    const { capabilityType: type, minVersion, reason } = request;
    const grant = port.request({ caller, type, minVersion, reason });
    return {
      grant: {
        grantId: grant.grantId,
        endpointUrl: `${hostUrl}/capabilities/${grant.type}/${grant.grantId}`,
        bearerToken: grant.token,
        capabilityType: grant.type,
        version: grant.version,
      },
    };
  },
});

/** Credentials that are there and wrong are refused, also where none would do. */
function anyCaller(context: HandlerContext): Principal {
  const { authentication } = callerOf(context);
  if (authentication.kind === "principal") return authentication.principal;
  throw new PluginHostError("UNAUTHENTICATED", authentication.reason);
}
