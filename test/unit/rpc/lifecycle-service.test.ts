import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { HealthState } from "../../../src/gen/connectplugin/v1/common_pb.js";
import { ReportHealthRequestSchema } from "../../../src/gen/connectplugin/v1/lifecycle_pb.js";
import type { Principal } from "../../../src/model/principal.js";
import { lifecycleRpc } from "../../../src/rpc/lifecycle-service.js";
import { rpcContext } from "../../support/rpc-context.js";

const logger: Principal = { kind: "plugin", runtimeId: "logger-1", selfId: "logger" };

function report(
  request: { state?: HealthState; reason?: string; unavailableDependencies?: string[] },
  caller: Parameters<typeof rpcContext>[0] = logger,
) {
  const reports: unknown[][] = [];
  const service = lifecycleRpc({ report: (...given) => void reports.push(given) });
  service.reportHealth(create(ReportHealthRequestSchema, request), rpcContext(caller));
  return reports;
}

test.each([
  { state: HealthState.HEALTHY, verdict: "healthy" },
  { state: HealthState.DEGRADED, verdict: "degraded" },
  { state: HealthState.UNHEALTHY, verdict: "unhealthy" },
])("state $state is a report of $verdict for the caller", ({ state, verdict }) => {
  const reports = report({ state, reason: "why", unavailableDependencies: ["cache"] });
  expect(reports).toEqual([["logger-1", verdict, "why", ["cache"]]]);
});

test("unspecified is no report", () => {
  expect(report({ state: HealthState.UNSPECIFIED, reason: "x" })).toEqual([]);
});

test.each([
  { what: "an unknown state", request: { state: 4 as HealthState }, field: "state" },
  { what: "a negative state", request: { state: -1 as HealthState }, field: "state" },
  { what: "a long reason", request: { reason: "ä".repeat(2_049) }, field: "reason" },
  {
    what: "many dependencies",
    request: { unavailableDependencies: Array.from({ length: 101 }, (_, i) => `d${i}`) },
    field: "unavailable_dependencies",
  },
  {
    what: "a dependency that is no type",
    request: { unavailableDependencies: ["ok", "no type"] },
    field: "unavailable_dependencies[1]",
  },
])("$what is refused and reports nothing", ({ request, field }) => {
  expect(() => report({ state: HealthState.HEALTHY, ...request })).toThrow(
    expect.objectContaining({
      code: "INVALID_ARGUMENT",
      field,
      message: expect.stringMatching(new RegExp(`^${field.replace(/[[\]]/g, "\\$&")} `)),
    }),
  );
});

test.each<{ who: string; caller: Parameters<typeof rpcContext>[0] }>([
  { who: "nobody", caller: { kind: "anonymous" } },
  { who: "a wrong token", caller: { refused: "expired" } },
  { who: "a join token", caller: { kind: "join" } },
  { who: "an operator", caller: { kind: "admin" } },
])("$who cannot report for anybody", ({ caller }) => {
  expect(() => report({ state: HealthState.HEALTHY }, caller)).toThrow(
    expect.objectContaining({ code: "UNAUTHENTICATED" }),
  );
});
