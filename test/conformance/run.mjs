// Runs the official Connect conformance suite against what is in dist/:
//
//   node test/conformance/run.mjs [direct] [router] [sdk-server] [-- flags of connectconformance]
//
// direct      the reference server alone: shows that the suite and its configuration are sound
// router      the reference server as a plugin behind a host, exposed at `/`; callers in cleartext and over TLS
// any         the same called at `/services/<type>/any/`, by a caller with a plugin's identity
// mounted     the same behind servers of node:http and node:http2 that a host is mounted in; in cleartext and over TLS
// unix        the reference server behind a Unix socket
// tls         callers and the reference server over TLS
// sdk-server  the suite's service written in JavaScript on the plugin SDK's own Connect server
// sdk-server-ordinary  the same without the direct path for unary calls and streams of answers
// plugin-http  the suite's service as a plugin made with definePlugin, on a port of its own, behind a host and exposed at `/`
// plugin-link  the same without a port: what comes to the host goes on over the plugin's link
// plugin-in-process  the same as a module in the host's process
// plugin-worker  the same in a worker thread
// link        each call goes on from one plugin of the SDK to another, both without ports, over links
// in-process  each call goes on from one plugin in the host's process to another, without a connection
//
// Without a mode it runs `router` and `sdk-server`, and on Node 20 all but `direct`. The last line is `N passed, N failed`. It needs Go 1.24 or later. The suite is built
// into `.cache/` of the checkout, or the folder that TOOL_CACHE names.
import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const suiteModule = "connectrpc.com/conformance";
const suiteVersion = "v1.0.6";
const here = dirname(fileURLToPath(import.meta.url));
const root = resolve(here, "../..");
const cache = join(resolve(process.env.TOOL_CACHE ?? join(root, ".cache")), `conformance-${suiteVersion}`);
const program = (name) => join(cache, "bin", name);

/** Everything that a cleartext port carries. */
const features = {
  versions: ["HTTP_VERSION_1", "HTTP_VERSION_2"],
  protocols: ["PROTOCOL_CONNECT", "PROTOCOL_GRPC", "PROTOCOL_GRPC_WEB"],
  codecs: ["CODEC_PROTO", "CODEC_JSON"],
  compressions: ["COMPRESSION_IDENTITY", "COMPRESSION_GZIP"],
  streamTypes: [
    "STREAM_TYPE_UNARY",
    "STREAM_TYPE_CLIENT_STREAM",
    "STREAM_TYPE_SERVER_STREAM",
    "STREAM_TYPE_HALF_DUPLEX_BIDI_STREAM",
    "STREAM_TYPE_FULL_DUPLEX_BIDI_STREAM",
  ],
  supportsH2c: true,
  supportsTls: false,
  supportsTrailers: true,
  supportsHalfDuplexBidiOverHttp1: true,
  supportsConnectGet: true,
  supportsMessageReceiveLimit: true,
};

const withTls = { ...features, supportsTls: true, supportsTlsClientCerts: true };
const routed = (way) => () => [process.execPath, join(here, "routed-server.mjs"), way];

// Connect for JavaScript answers bidirectional streams over HTTP/1.1 with 505. Where no HTTP/1.1 reaches it they work: a link and
// memory carry both directions at once whatever the caller's HTTP is.
const withoutHttp1Bidi = { ...features, supportsHalfDuplexBidiOverHttp1: false };
const plugin = (way) => ({
  features: way === "http" ? withoutHttp1Bidi : features,
  cases: way === "http" ? 1_900 : 1_990,
  server: () => [process.execPath, join(here, "plugin-server.mjs"), way],
  takesDirectPath: true,
});
const typed = (way) => ({
  features: withoutHttp1Bidi,
  cases: 1_900,
  server: () => [process.execPath, join(here, "typed-server.mjs"), way],
  takesDirectPath: true,
});

/** `cases` is exact, so that a change of the configuration which loses cases does not go unnoticed. */
const modes = {
  direct: { features, cases: 1_990, server: () => [program("referenceserver")] },
  router: { features: withTls, cases: 3_820, server: routed("port") },
  any: { features, cases: 1_990, server: routed("any") },
  mounted: { features: withTls, cases: 3_820, server: routed("mounted") },
  unix: { features, cases: 1_990, server: routed("unix") },
  tls: { features: withTls, excludeCases: [{ useTls: false }], cases: 1_830, server: routed("tls") },
  "sdk-server": {
    features: withoutHttp1Bidi,
    cases: 1_900,
    server: () => [process.execPath, join(here, "sdk-server.mjs")],
    takesDirectPath: true,
  },
  "sdk-server-ordinary": {
    features: withoutHttp1Bidi,
    cases: 1_900,
    server: () => [process.execPath, join(here, "sdk-server.mjs"), "ordinary"],
    takesDirectPath: false,
  },
  "plugin-http": plugin("http"),
  "plugin-link": plugin("link"),
  "plugin-in-process": plugin("in-process"),
  "plugin-worker": plugin("worker"),
  link: typed("link"),
  "in-process": typed("in-process"),
};

function installSuite() {
  mkdirSync(join(cache, "bin"), { recursive: true });
  for (const name of ["connectconformance", "referenceserver"]) {
    if (existsSync(program(name))) continue;
    console.log(`building ${name} ${suiteVersion}`);
    execFileSync("go", ["install", `${suiteModule}/cmd/${name}@${suiteVersion}`], {
      stdio: ["ignore", "inherit", "inherit"],
      env: { ...process.env, GOBIN: join(cache, "bin"), GOFLAGS: "" },
    });
  }
  const descriptors = join(cache, "descriptors.binpb");
  if (!existsSync(descriptors)) {
    const answer = execFileSync("go", ["mod", "download", "-json", `${suiteModule}@${suiteVersion}`], { cwd: cache });
    const { Dir } = JSON.parse(answer.toString());
    const buf = join(root, "node_modules/.bin/buf");
    execFileSync(buf, ["build", join(Dir, "proto"), "--as-file-descriptor-set", "-o", descriptors], {
      stdio: ["ignore", "inherit", "inherit"],
    });
  }
  return descriptors;
}

/** Runs one mode and shows what the runner says. */
async function runMode(name, descriptors, flags) {
  const mode = modes[name];
  const config = join(cache, `${name}.yaml`);
  const { features, excludeCases = [] } = mode;
  writeFileSync(config, JSON.stringify({ features, excludeCases })); // JSON is YAML
  console.log(`conformance ${name}, node ${process.version}`);
  const runner = spawn(
    program("connectconformance"),
    ["--mode", "server", "--conf", config, ...flags, "--", ...mode.server()],
    {
      stdio: ["ignore", "pipe", "pipe"],
      env: {
        ...process.env,
        CONFORMANCE_DESCRIPTORS: descriptors,
        CONFORMANCE_REFERENCE_SERVER: program("referenceserver"),
      },
    },
  );
  let said = "";
  for (const stream of [runner.stdout, runner.stderr]) {
    stream.setEncoding("utf8").on("data", (text) => {
      said += text;
      process.stdout.write(text);
    });
  }
  const exitCode = await new Promise((settle, fail) => {
    runner.once("error", fail);
    runner.once("close", (code, signal) => settle(code ?? signal));
  });
  const counted = /(\d+) passed, (\d+) failed/.exec(said);
  const passed = Number(counted?.[1] ?? 0);
  let failed = Number(counted?.[2] ?? 0);
  if (failed === 0 && exitCode !== 0) {
    console.log(`conformance ${name}: the runner ended with ${exitCode}`);
    failed = 1;
  }
  if (flags.length === 0 && passed + failed !== mode.cases) {
    console.log(`conformance ${name}: ran ${passed + failed} cases where ${mode.cases} were expected`);
    failed = Math.max(failed, 1);
  }
  const directCalls = [...said.matchAll(/direct calls: (\d+)/g)].reduce((sum, [, count]) => sum + Number(count), 0);
  if (flags.length === 0 && mode.takesDirectPath !== undefined && mode.takesDirectPath !== directCalls > 0) {
    console.log(`conformance ${name}: ${directCalls} calls took the direct path`);
    failed = Math.max(failed, 1);
  }
  console.log(`\nconformance ${name}: ${passed} passed, ${failed} failed`);
  return { passed, failed };
}

const split = process.argv.indexOf("--");
const asked = process.argv.slice(2, split === -1 ? undefined : split);
const flags = split === -1 ? [] : process.argv.slice(split + 1);
const unknown = asked.filter((name) => !Object.hasOwn(modes, name));
if (unknown.length > 0) {
  console.error(`unknown mode ${unknown.join(", ")}; the modes are ${Object.keys(modes).join(", ")}`);
  process.exit(2);
}

// What differs between versions of Node is seen by these two; the others go through the same code by other doors.
const usual = ["router", "sdk-server"];
if (process.versions.node.startsWith("20.")) {
  usual.push("any", "mounted", "unix", "tls", "sdk-server-ordinary", "link", "in-process");
  usual.push("plugin-http", "plugin-link", "plugin-in-process", "plugin-worker");
}
const descriptors = installSuite();
const total = { passed: 0, failed: 0 };
for (const name of asked.length > 0 ? asked : usual) {
  const { passed, failed } = await runMode(name, descriptors, flags);
  total.passed += passed;
  total.failed += failed;
}
console.log(`${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed > 0 ? 1 : 0;
