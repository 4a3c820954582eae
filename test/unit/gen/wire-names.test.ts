import type { DescEnum, DescField, DescFile, DescMessage } from "@bufbuild/protobuf";
import { ScalarType } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { file_connectplugin_health_v1_health } from "../../../src/gen/connectplugin/health/v1/health_pb.js";
import { file_connectplugin_v1_broker } from "../../../src/gen/connectplugin/v1/broker_pb.js";
import { file_connectplugin_v1_common } from "../../../src/gen/connectplugin/v1/common_pb.js";
import { file_connectplugin_v1_control } from "../../../src/gen/connectplugin/v1/control_pb.js";
import { file_connectplugin_v1_handshake } from "../../../src/gen/connectplugin/v1/handshake_pb.js";
import { file_connectplugin_v1_identity } from "../../../src/gen/connectplugin/v1/identity_pb.js";
import { file_connectplugin_v1_lifecycle } from "../../../src/gen/connectplugin/v1/lifecycle_pb.js";
import { file_connectplugin_v1_registry } from "../../../src/gen/connectplugin/v1/registry_pb.js";
import { file_grpc_health_v1_health } from "../../../src/gen/grpc/health/v1/health_pb.js";

// Other implementations have these names and numbers built in: a difference is a broken plugin, whatever the reason.
// Per message its fields (string where no type is given), per enum its values, per service its methods.
const contract = `
connectplugin.v1.HandshakeRequest: 1 core_protocol_version int32, 2 app_protocol_version int32, 3 magic_cookie_key, 4 magic_cookie_value, 5 requested_plugins repeated, 6 client_metadata map, 10 self_id, 11 self_version, 100 base_url, 101 declaration Declaration, 102 checks_host_secret bool
connectplugin.v1.HandshakeResponse: 1 core_protocol_version int32, 2 app_protocol_version int32, 3 plugins repeated PluginInfo, 4 server_metadata map, 5 host_capabilities repeated Capability, 10 runtime_id, 11 runtime_token, 100 host_features repeated, 101 host_secret
connectplugin.v1.Declaration: 1 provides repeated ServiceDeclaration, 2 requires repeated ServiceDependency
connectplugin.v1.PluginInfo: 1 name, 2 version, 3 service_path, 10 provides repeated ServiceDeclaration, 11 requires repeated ServiceDependency
connectplugin.v1.Capability: 1 type, 2 version, 3 endpoint
connectplugin.v1.ServiceDeclaration: 1 type, 2 version, 3 path
connectplugin.v1.ServiceDependency: 1 type, 2 min_version, 3 required_for_startup bool, 4 watch_for_changes bool, 100 methods repeated, 101 observed bool
connectplugin.v1.RegisterServiceRequest: 1 service_type, 2 version, 3 endpoint_path, 4 metadata map
connectplugin.v1.RegisterServiceResponse: 1 registration_id
connectplugin.v1.UnregisterServiceRequest: 1 registration_id
connectplugin.v1.UnregisterServiceResponse:
connectplugin.v1.DiscoverServiceRequest: 1 service_type, 2 min_version
connectplugin.v1.DiscoverServiceResponse: 1 endpoint ServiceEndpoint, 2 single_provider bool
connectplugin.v1.ServiceEndpoint: 1 provider_id, 2 version, 3 endpoint_url, 4 metadata map
connectplugin.v1.WatchServiceRequest: 1 service_type, 100 min_version, 101 resume_revision, 102 heartbeat_interval_ms uint32, 103 include_providers bool
connectplugin.v1.WatchServiceEvent: 1 service_type, 2 state ServiceState, 3 endpoint ServiceEndpoint, 100 revision, 101 heartbeat bool, 102 providers repeated ProviderStatus, 103 reason
connectplugin.v1.ProviderStatus: 1 endpoint ServiceEndpoint, 2 state ServiceState, 3 reason
connectplugin.v1.ReportHealthRequest: 1 state HealthState, 2 reason, 3 unavailable_dependencies repeated
connectplugin.v1.ReportHealthResponse:
connectplugin.v1.GetHealthRequest:
connectplugin.v1.GetHealthResponse: 1 state HealthState, 2 reason, 3 unavailable_dependencies repeated
connectplugin.v1.ShutdownRequest: 1 grace_period_seconds int32, 2 reason
connectplugin.v1.ShutdownResponse: 1 acknowledged bool
connectplugin.v1.GetPluginInfoRequest:
connectplugin.v1.GetPluginInfoResponse: 1 self_id, 2 self_version, 3 provides repeated ServiceDeclaration, 4 requires repeated ServiceDependency, 5 metadata map, 100 complete bool
connectplugin.v1.SetRuntimeIdentityRequest: 1 runtime_id, 2 runtime_token, 3 host_url, 100 host_features repeated
connectplugin.v1.SetRuntimeIdentityResponse: 1 acknowledged bool, 100 checks_host_secret bool
connectplugin.v1.RequestCapabilityRequest: 1 capability_type, 2 min_version, 3 reason
connectplugin.v1.RequestCapabilityResponse: 1 grant CapabilityGrant
connectplugin.v1.CapabilityGrant: 1 grant_id, 2 endpoint_url, 3 bearer_token, 4 capability_type, 5 version
connectplugin.health.v1.HealthCheckRequest: 1 service
connectplugin.health.v1.HealthCheckResponse: 1 status ServingStatus
grpc.health.v1.HealthCheckRequest: 1 service
grpc.health.v1.HealthCheckResponse: 1 status ServingStatus
connectplugin.v1.HealthState: HEALTH_STATE_UNSPECIFIED 0, HEALTH_STATE_HEALTHY 1, HEALTH_STATE_DEGRADED 2, HEALTH_STATE_UNHEALTHY 3
connectplugin.v1.ServiceState: SERVICE_STATE_UNSPECIFIED 0, SERVICE_STATE_AVAILABLE 1, SERVICE_STATE_UNAVAILABLE 2, SERVICE_STATE_DEGRADED 3
connectplugin.health.v1.ServingStatus: SERVING_STATUS_UNSPECIFIED 0, SERVING_STATUS_SERVING 1, SERVING_STATUS_NOT_SERVING 2, SERVING_STATUS_SERVICE_UNKNOWN 3
grpc.health.v1.HealthCheckResponse.ServingStatus: UNKNOWN 0, SERVING 1, NOT_SERVING 2, SERVICE_UNKNOWN 3
connectplugin.v1.HandshakeService: Handshake unary
connectplugin.v1.ServiceRegistry: RegisterService unary, UnregisterService unary, DiscoverService unary, WatchService server_streaming
connectplugin.v1.PluginLifecycle: ReportHealth unary
connectplugin.v1.CapabilityBroker: RequestCapability unary
connectplugin.v1.PluginIdentity: GetPluginInfo unary, SetRuntimeIdentity unary
connectplugin.v1.PluginControl: GetHealth unary, Shutdown unary
connectplugin.health.v1.HealthService: Check unary, Watch server_streaming
grpc.health.v1.Health: Check unary, Watch server_streaming
`;

function fieldText(field: DescField): string {
  const start = `${field.number} ${field.name}`;
  if (field.fieldKind === "map") {
    const ofStrings = field.mapKey === ScalarType.STRING && field.scalar === ScalarType.STRING;
    return ofStrings ? `${start} map` : `${start} map of something else`;
  }
  const type = field.message?.name ?? field.enum?.name ?? ScalarType[field.scalar ?? ScalarType.BYTES].toLowerCase();
  return [start, ...(field.fieldKind === "list" ? ["repeated"] : []), ...(type === "string" ? [] : [type])].join(" ");
}

const line = (name: string, parts: readonly string[]) => `${name}: ${parts.join(", ")}`.trim();
const enumLine = ({ typeName, values }: DescEnum) =>
  line(
    typeName,
    values.map(({ name, number }) => `${name} ${number}`),
  );
const messageLines = (message: DescMessage): string[] => [
  line(message.typeName, message.fields.map(fieldText)),
  ...message.nestedEnums.map(enumLine),
  ...message.nestedMessages.flatMap(messageLines),
];
const fileLines = ({ messages, enums, services }: DescFile): string[] => [
  ...messages.flatMap(messageLines),
  ...enums.map(enumLine),
  ...services.map(({ typeName, methods }) =>
    line(
      typeName,
      methods.map(({ name, methodKind }) => `${name} ${methodKind}`),
    ),
  ),
];

test("messages, enums and services have exactly the names and numbers of the wire contract", () => {
  const files = [
    file_connectplugin_health_v1_health,
    file_connectplugin_v1_broker,
    file_connectplugin_v1_common,
    file_connectplugin_v1_control,
    file_connectplugin_v1_handshake,
    file_connectplugin_v1_identity,
    file_connectplugin_v1_lifecycle,
    file_connectplugin_v1_registry,
    file_grpc_health_v1_health,
  ];
  expect(files.flatMap(fileLines).sort()).toEqual(contract.trim().split("\n").sort());
});
