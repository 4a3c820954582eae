import type { DescService } from "@bufbuild/protobuf";
import type { Interceptor } from "@connectrpc/connect";
import { invalid } from "../errors.js";
import { checkName } from "../model/limits.js";
import { type ResilienceOptions, resilienceOf } from "./interceptors/resilience.js";
import type { RequiredService, WhenLost } from "./plugin-definition.js";
import type { ResolvedDependency } from "./resolve-definition.js";

/** One entry of `requires`: a service type, or several of which one is enough. */
export interface DependencyGroup {
  /** The key in `requires`. */
  readonly name: string;
  /** Its service types, the preferred one first; one that has the group's name unless `anyOf` says more. */
  readonly members: readonly [ResolvedDependency, ...ResolvedDependency[]];
  readonly service: DescService | undefined;
  readonly whenLost: WhenLost;
  readonly interceptors: readonly Interceptor[];
  readonly resilience: ResilienceOptions | boolean;
}

/** The service types behind one entry of `requires`. @throws PluginHostError `INVALID_ARGUMENT` that names the field */
export function typesOf(name: string, { anyOf }: RequiredService): readonly [string, ...string[]] {
  const field = `requires.${name}.anyOf`;
  if (anyOf === undefined) return [name];
  if (!Array.isArray(anyOf)) throw invalid(field, "must be an array of service types");
  const [first, ...others] = anyOf.map((type, index) => checkName(`${field}[${index}]`, type));
  if (first === undefined) throw invalid(field, "must name at least one service type");
  if (new Set(anyOf).size < anyOf.length) throw invalid(field, `names a service type twice: ${anyOf.join(", ")}`);
  return [first, ...others];
}

const losses: readonly WhenLost[] = ["degraded", "unhealthy", "ignore"];

/** Makes a group of the dependencies that stand for an entry. @throws PluginHostError `INVALID_ARGUMENT` that names the field */
export function dependencyGroup(
  name: string,
  given: RequiredService,
  members: DependencyGroup["members"],
): DependencyGroup {
  const field = `requires.${name}`;
  const whenLost = given.whenLost ?? ((given.required ?? true) ? "degraded" : "ignore");
  if (!losses.includes(whenLost)) {
    throw invalid(`${field}.whenLost`, `must be "degraded", "unhealthy" or "ignore", got ${JSON.stringify(whenLost)}`);
  }
  const { resilience = false } = given;
  // Said now rather than at the first start.
  resilienceOf(resilience, `${field}.resilience`);
  return Object.freeze({
    name,
    members,
    service: given.service,
    whenLost,
    interceptors: Object.freeze([...(given.interceptors ?? [])]),
    resilience,
  });
}
