// The test kit: for those who write plugins, hosts, launchers and adapters. Needs no test framework, and works with all of them.
export type { AdapterCaseName } from "./adapter/adapter-cases.js";
export { adapterContract } from "./adapter/adapter-contract.js";
export type {
  AdapterAnswer,
  AdapterFeature,
  AdapterField,
  AdapterService,
  AdapterUnderTest,
  OpenAdapter,
} from "./adapter/adapter-under-test.js";
export type { ContractCase } from "./contract-case.js";
export type { RecordedEvent } from "./event-journal.js";
export { type FakePlugin, type FakePluginOptions, fakePlugin, type Stubs } from "./fake-plugin.js";
export type { LauncherCaseName } from "./launcher/launcher-cases.js";
export { type LauncherUnderTest, launcherContract } from "./launcher/launcher-contract.js";
export type { LauncherProbe, ProbeName } from "./launcher/probes.js";
export { type ManualClock, manualClock } from "./manual-clock.js";
export {
  type Hold,
  type MethodName,
  type Stub,
  type StubAnswer,
  type StubAnswers,
  type StubCall,
  type StubOptions,
  stub,
} from "./stub.js";
export { startTestHost, type TestHost, type TestHostOptions } from "./test-host.js";
export {
  type ClientType,
  type DependencyStubs,
  type PluginUnderTest,
  type TestPluginOptions,
  type TestPluginWay,
  testPlugin,
} from "./test-plugin.js";
