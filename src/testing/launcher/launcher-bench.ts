import { deepEqual, equal, match } from "node:assert/strict";
import type { Client } from "@connectrpc/connect";
import { PluginHostError, type PluginSpec, type PluginView } from "../../index.js";
import { failed } from "../expectation.js";
import { fakePlugin } from "../fake-plugin.js";
import { Conductor, Probe } from "../gen/launcher/v1/launcher_pb.js";
import { type Stub, type StubCall, stub } from "../stub.js";
import { startTestHost, type TestHost } from "../test-host.js";
import type { LauncherUnderTest } from "./launcher-contract.js";
import { type ProbeName, probeOf } from "./probes.js";

type Spec = Omit<Partial<PluginSpec>, "endpoint" | "module" | "command">;

/** What one case works with: a host that listens, the conductor in it, and the launcher. */
export class LauncherBench implements AsyncDisposable {
  readonly host: TestHost;
  readonly conductor: Stub<typeof Conductor>;
  readonly client: Client<typeof Probe>;
  readonly #underTest: LauncherUnderTest;

  private constructor(host: TestHost, conductor: Stub<typeof Conductor>, underTest: LauncherUnderTest) {
    this.host = host;
    this.conductor = conductor;
    this.client = host.client(Probe, { type: "probe" });
    this.#underTest = underTest;
  }

  static async open(underTest: LauncherUnderTest): Promise<LauncherBench> {
    const { waitMs = 10_000, ...given } = underTest.host ?? {};
    const conductor = stub(Conductor, { reach: {} }, { waitMs });
    const host = await startTestHost({ listen: true, waitMs, ...given });
    await host.add(fakePlugin({ id: "conductor", provides: { conductor } }));
    return new LauncherBench(host, conductor, underTest);
  }

  async add(name: ProbeName, spec: Spec = {}): Promise<PluginView> {
    // Whether the host starts it again is for those cases that say so.
    return this.host.add({ restart: false, ...(await this.#source(name)), ...spec } as PluginSpec);
  }

  async replace(runtimeId: string, name: ProbeName): Promise<PluginView> {
    const source = await this.#source(name);
    return this.host.platform.replacePlugin(runtimeId, { restart: false, ...source });
  }

  /** Resolves when a probe has come to a point. */
  async reached(point: string): Promise<StubCall> {
    for (let count = 1; ; count += 1) {
      const call = await this.conductor.untilCalled("reach", count);
      if (call.request.point === point) return call;
    }
  }

  /** How many probes have come to a point. */
  timesReached(point: string): number {
    return this.conductor.calls("reach").filter(({ request }) => request.point === point).length;
  }

  /** Ends the plugin as a mistake in its code would, while it waits at a point of its life. */
  async crashAt(release: () => void, reason: string): Promise<void> {
    if (this.#underTest.crash === undefined) {
      this.conductor.answer("reach", { crash: reason });
      return release();
    }
    await this.#underTest.crash(reason);
    release();
  }

  /** Ends the plugin as a mistake in its code would. */
  async crash(reason: string): Promise<void> {
    if (this.#underTest.crash !== undefined) return this.#underTest.crash(reason);
    await this.client.crash({ reason });
  }

  /** Whether a text tells of the crash: its reason, or what the launcher can see of it. */
  tellsOf(text: string, reason: string): void {
    match(text, this.#underTest.crashText ?? new RegExp(reason));
  }

  /** Nobody sees a probe any more, and nothing of it is there. */
  async nothingIsLeft(): Promise<void> {
    const { platform } = this.host;
    const selfIds = platform.plugins().map(({ selfId }) => selfId);
    deepEqual(
      selfIds.filter((selfId) => selfId !== "conductor"),
      [],
      "plugins that are still there",
    );
    const types = platform.registry.services().map(({ type }) => type);
    deepEqual(
      types.filter((type) => type !== "conductor"),
      [],
      "services that are still there",
    );
    equal(platform.getStartupOrder().length, selfIds.length, "plugins in the graph");
    await this.nothingRuns();
  }

  /** Nothing runs that the launcher has started. */
  async nothingRuns(): Promise<void> {
    deepEqual((await this.#underTest.leftovers?.()) ?? [], [], "what the launcher has left behind");
  }

  async #source(name: ProbeName): Promise<PluginSpec> {
    return this.#underTest.source(probeOf(name), { url: this.host.url as string });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.host.stop();
  }
}

/** What an operation fails with. @throws AssertionError if it does not fail, or not with an error of this library */
export function failureOf(operation: Promise<unknown>): Promise<PluginHostError> {
  const failure = operation.then(
    () => {
      throw failed("it should have failed");
    },
    (error: unknown) => {
      if (error instanceof PluginHostError) return error;
      throw error;
    },
  );
  // Looked at later, when something else may have failed before.
  failure.catch(() => {});
  return failure;
}
