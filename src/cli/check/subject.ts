import { fromJsonString } from "@bufbuild/protobuf";
import { type GetPluginInfoResponse, GetPluginInfoResponseSchema } from "../../gen/connectplugin/v1/identity_pb.js";
import type { CheckReport } from "./check-report.js";
import type { PluginHttp, ProbeAnswer } from "./plugin-http.js";

/** The procedures of a plugin, as paths. */
export const procedures = Object.freeze({
  info: "/connectplugin.v1.PluginIdentity/GetPluginInfo",
  identity: "/connectplugin.v1.PluginIdentity/SetRuntimeIdentity",
  health: "/connectplugin.v1.PluginControl/GetHealth",
  shutdown: "/connectplugin.v1.PluginControl/Shutdown",
  handshake: "/connectplugin.v1.HandshakeService/Handshake",
});

/** What the checks of a listening plugin work on. */
export interface Subject {
  readonly http: PluginHttp;
  readonly report: CheckReport;
  /** A procedure without effect that the plugin answers: the one that the wire is tried with. Undefined if it has none. */
  readonly probe: string | undefined;
  /** What it says of itself; undefined if it does not, or not in a way that can be read. */
  readonly info: GetPluginInfoResponse | undefined;
}

/** Whether the plugin does not have the procedure: any answer that is none of Connect's errors but this one. */
export const isMissing = ({ status }: ProbeAnswer): boolean => status === 404 || status === 501 || status === 405;

/** What was thrown, as text. */
export const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Reads GetPluginInfo's answer in JSON. @throws Error that says why it cannot be read */
export const readInfo = (body: Uint8Array): GetPluginInfoResponse =>
  fromJsonString(GetPluginInfoResponseSchema, Buffer.from(body).toString("utf8"), { ignoreUnknownFields: true });
