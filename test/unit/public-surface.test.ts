import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { libraryVersion } from "../../src/version.js";

const fileText = (path: string): string =>
  readFileSync(fileURLToPath(new URL(`../../${path}`, import.meta.url)), "utf8");

/** What an entry point exports. Entry points hold nothing but lists of names, so that its text says it all. */
function exportsOf(path: string): { values: string[]; types: string[] } {
  const text = fileText(path).replace(/^\/\/.*$/gm, "");
  const statement = /^export (type )?\{([^}]*)\} from "[^"]+";$/gm;
  expect(text.replace(statement, "").trim(), `${path} has something else than lists of names`).toBe("");
  const values: string[] = [];
  const types: string[] = [];
  for (const [, allTypes, names = ""] of text.matchAll(statement)) {
    for (const name of names.split(",").map((part) => part.trim())) {
      if (name === "") continue;
      (allTypes === undefined && !name.startsWith("type ") ? values : types).push(name.replace(/^type /, ""));
    }
  }
  return { values: values.sort(), types: types.sort() };
}

// Names leave and enter the public surface on purpose only: whoever changes it changes these lists.
const entryPoints = [
  {
    name: "connect-plugin-host",
    file: "src/index.ts",
    values: [
      "Platform",
      "PluginHostError",
      "ServiceRegistry",
      "ServiceRouter",
      "errorCodes",
      "findPlugin",
      "importPlugin",
    ],
    types: [
      "CallEvent",
      "CallProtocol",
      "CallToAuthorize",
      "CapabilityOffer",
      "CapabilityRequest",
      "Clock",
      "CustomLaunch",
      "CustomLauncher",
      "CustomPlugin",
      "DeclaredPlugin",
      "ErrorCode",
      "FetchFunction",
      "GrantOptions",
      "Health",
      "HealthCause",
      "HealthOptions",
      "HealthState",
      "HealthVerdict",
      "HostClientOptions",
      "HostedModule",
      "Impact",
      "Importance",
      "IngressCheck",
      "IngressOptions",
      "KeyPair",
      "LinkOptions",
      "ListenOptions",
      "ListenTarget",
      "ModuleEnvironment",
      "OfferedCapability",
      "OperationToPlan",
      "OutputEvent",
      "Pem",
      "PermissionPolicy",
      "Plan",
      "PlatformEvents",
      "PlatformOptions",
      "PluginDeclaration",
      "PluginHostErrorOptions",
      "PluginOrigin",
      "PluginPhase",
      "PluginRecord",
      "PluginSource",
      "PluginSpec",
      "PluginView",
      "Principal",
      "ProcessSource",
      "Registration",
      "RemovePluginOptions",
      "ReplacePluginSpec",
      "RestartOptions",
      "Revision",
      "RunningModule",
      "RuntimeId",
      "ServerTlsOptions",
      "ServiceDeclaration",
      "ServiceDependency",
      "StepEvent",
      "Timer",
      "SupervisedSpec",
      "Supervision",
      "SupervisionOptions",
      "SweptProgram",
      "TrafficState",
      "UpstreamTlsOptions",
      "WorkerLimits",
      "WorkerSource",
    ],
  },
  {
    name: "connect-plugin-host/plugin",
    file: "src/plugin/index.ts",
    values: ["PluginHostError", "callBuffer", "callerOf", "definePlugin", "errorCodes", "servePlugin"],
    types: [
      "BackOffOptions",
      "CallBuffer",
      "CallBufferOptions",
      "CallBufferPlugin",
      "CallBufferState",
      "CalledWith",
      "CircuitState",
      "ClientName",
      "ClientOf",
      "Clock",
      "ConnectServerOptions",
      "DefinedPlugin",
      "Degradation",
      "DependencyState",
      "DropReason",
      "ErrorCode",
      "FetchHandler",
      "HandshakeSettings",
      "HealthVerdict",
      "HostedModule",
      "ImplementationOf",
      "Implementations",
      "ModuleEnvironment",
      "NodeHandler",
      "PluginContext",
      "PluginEvent",
      "PluginEventListener",
      "PluginOptions",
      "ProvidedConnectService",
      "ProvidedHttpService",
      "Provides",
      "RequiredService",
      "Requires",
      "ResilienceOptions",
      "RunningInWorker",
      "RunningModule",
      "ServeOptions",
      "ServedPlugin",
      "ServiceCaller",
      "ServiceOf",
      "Timer",
      "WhenLost",
      "WorkerEnvironment",
      "WorkerModule",
    ],
  },
  {
    name: "connect-plugin-host/interceptors",
    file: "src/plugin/interceptors/index.ts",
    values: [
      "PluginHostError",
      "bearerToken",
      "certificateValues",
      "circuitBreaker",
      "fallback",
      "isCircuitOpen",
      "lastAnswers",
      "peerIdentity",
      "rateLimit",
      "requireBearer",
      "requireCertificate",
      "resilience",
      "retry",
      "timeLimit",
    ],
    types: [
      "BearerTokenOptions",
      "CircuitBreaker",
      "CircuitBreakerOptions",
      "CircuitEvent",
      "CircuitState",
      "Clock",
      "LastAnswersOptions",
      "PeerIdentity",
      "RateLimitOptions",
      "RepeatableCall",
      "RequireBearerOptions",
      "RequireCertificateOptions",
      "ResilienceOptions",
      "RetryBudgetOptions",
      "RetryEvent",
      "RetryOptions",
      "TimeLimitOptions",
      "Timer",
      "TokenSource",
    ],
  },
  {
    name: "connect-plugin-host/testing",
    file: "src/testing/index.ts",
    values: ["adapterContract", "fakePlugin", "launcherContract", "manualClock", "startTestHost", "stub", "testPlugin"],
    types: [
      "AdapterAnswer",
      "AdapterCaseName",
      "AdapterFeature",
      "AdapterField",
      "AdapterService",
      "AdapterUnderTest",
      "ClientType",
      "ContractCase",
      "DependencyStubs",
      "FakePlugin",
      "FakePluginOptions",
      "Hold",
      "LauncherCaseName",
      "LauncherProbe",
      "LauncherUnderTest",
      "ManualClock",
      "MethodName",
      "OpenAdapter",
      "PluginUnderTest",
      "ProbeName",
      "RecordedEvent",
      "Stub",
      "StubAnswer",
      "StubAnswers",
      "StubCall",
      "StubOptions",
      "Stubs",
      "TestHost",
      "TestHostOptions",
      "TestPluginOptions",
      "TestPluginWay",
    ],
  },
];

describe.each(entryPoints)("the entry point $name", ({ name, file, values, types }) => {
  test("exports exactly these values", async () => {
    expect(Object.keys(await import(/* @vite-ignore */ name)).sort()).toEqual([...values].sort());
    expect(exportsOf(file).values).toEqual([...values].sort());
  });

  test("exports exactly these types", () => {
    expect(exportsOf(file).types).toEqual([...types].sort());
  });
});

test("every entry point of package.json is one of these", () => {
  const { name, exports } = JSON.parse(fileText("package.json"));
  const paths = Object.keys(exports).filter((path) => path !== "./package.json");
  expect(paths.map((path) => name + path.slice(1))).toEqual(entryPoints.map((entry) => entry.name));
});

test("the library's version is that of package.json", () => {
  expect(libraryVersion).toBe(JSON.parse(fileText("package.json")).version);
});
