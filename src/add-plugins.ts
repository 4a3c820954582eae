import { type ErrorCode, PluginHostError } from "./errors.js";
import { DependencyGraph } from "./graph/dependency-graph.js";
import type { RuntimeId } from "./model/catalog.js";
import type { PluginDeclaration } from "./model/declarations.js";
import { compileVersionRange } from "./model/versions.js";
import type { PluginSpec } from "./plugin-source.js";
import type { PluginView } from "./plugin-view.js";
import { SetStarts } from "./set-starts.js";

/** What adding a set works with. */
export interface AddSetPort {
  add(spec: PluginSpec): Promise<PluginView>;
  remove(runtimeId: RuntimeId): Promise<unknown>;
  /** What a spec's plugin says of itself before it is added; undefined if it cannot say. */
  describe(spec: PluginSpec): Promise<PluginDeclaration | undefined>;
  /** Shows a plugin that failed to start as one that is down; it is tried again unless it is optional. */
  addAbsent(spec: PluginSpec, error: unknown): PluginView;
  warn(message: string, error: unknown): void;
}

interface Member {
  readonly spec: PluginSpec;
  readonly declaration: PluginDeclaration | undefined;
}

/**
 * Adds every plugin as soon as those of the set that it requires are there. One that cannot say before it runs what it
 * requires or provides is started with the first; who lacks something that it may bring, or brings, is started again. All or
 * none: if one fails, those that were added are removed again.
 *
 * @throws PluginHostError `DEPENDENCY_CYCLE` before anything is started; otherwise the first failure
 */
export async function addPlugins(port: AddSetPort, specs: readonly PluginSpec[]): Promise<PluginView[]> {
  const members = await Promise.all(
    specs.map(async (spec, index): Promise<Member> => {
      const described = naming(index, port.describe(spec)).catch((error: unknown) => {
        // Its start will say the same, and what becomes of it then.
        if (!mayFail(spec, error)) throw error;
        return undefined;
      });
      return { spec, declaration: await described };
    }),
  );
  const levels = levelsOf(members);
  const added: PluginView[] = [];
  let failure: { readonly error: unknown } | undefined;
  const results = new Map<Member, Promise<PluginView>>();
  const isKnown = members.every(({ declaration }) => declaration !== undefined);
  const starts = new SetStarts(() => !isKnown && failure === undefined);
  const startOne = async ({ spec }: Member, index: number): Promise<PluginView> => {
    try {
      return await naming(
        index,
        starts.run(() => port.add(spec)),
      );
    } catch (error) {
      if (!mayFail(spec, error)) throw error;
      const view = port.addAbsent(spec, error);
      if (spec.importance === "optional") port.warn(`${view.runtimeId}, which is optional, did not start`, error);
      return view;
    }
  };
  const start = (member: Member): Promise<PluginView> => {
    const known = results.get(member);
    if (known !== undefined) return known;
    const result = (async () => {
      await Promise.allSettled(providersFor(member, levels).map(start));
      if (failure !== undefined) throw failure.error;
      const view = await startOne(member, members.indexOf(member));
      added.push(view);
      return view;
    })();
    results.set(member, result);
    result.catch((error: unknown) => {
      failure ??= { error };
    });
    return result;
  };
  await Promise.allSettled(members.map(start));
  if (failure === undefined) return Promise.all(members.map(start));
  for (const view of added.reverse()) await port.remove(view.runtimeId).catch(() => {});
  throw failure.error;
}

// Another try would not change these, or nobody wants one.
const final: readonly ErrorCode[] = ["INVALID_ARGUMENT", "DEPENDENCY_CYCLE", "OPERATION_ABORTED", "HOST_STOPPED"];

/** Whether the others of its set go on without it. */
const mayFail = ({ importance = "required" }: PluginSpec, error: unknown): boolean =>
  importance !== "required" && error instanceof PluginHostError && !final.includes(error.code);

/** Whatever fails says in `details.index` which of the set it is. */
async function naming<T>(index: number, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (!(error instanceof PluginHostError)) throw error;
    const { code, message, field, step, details, cause } = error;
    throw new PluginHostError(code, message, {
      cause,
      details: { ...details, index },
      ...(field === undefined ? undefined : { field }),
      ...(step === undefined ? undefined : { step }),
    });
  }
}

/** The members of the set that start before this one and provide what it requires. */
function providersFor(member: Member, levels: ReadonlyMap<Member, number>): Member[] {
  const required = (member.declaration?.requires ?? []).filter((dependency) => dependency.required);
  const ownLevel = levels.get(member) ?? 0;
  return [...levels.keys()].filter((other) => {
    if ((levels.get(other) ?? 0) >= ownLevel) return false;
    const provides = other.declaration?.provides ?? [];
    return required.some(({ type, minVersion }) => {
      const satisfies = compileVersionRange("minVersion", minVersion);
      return provides.some((service) => service.type === type && satisfies(service.version));
    });
  });
}

/** In which round each member can start. What did not say what it needs starts in the first. */
function levelsOf(members: readonly Member[]): Map<Member, number> {
  const graph = new DependencyGraph();
  const byId = new Map<string, Member>();
  members.forEach((member, index) => {
    const { declaration } = member;
    if (declaration === undefined) return;
    const id = `${declaration.selfId}#${index}`;
    byId.set(id, member);
    graph.put({ id, name: declaration.selfId, provides: declaration.provides, requires: declaration.requires });
  });
  const levels = new Map<Member, number>(members.map((member) => [member, 0]));
  graph.startupLevels().forEach((ids, level) => {
    for (const id of ids) {
      const member = byId.get(id);
      if (member !== undefined) levels.set(member, level);
    }
  });
  return levels;
}
