import { z } from "zod";
import { listenForm, parseListen } from "../listen-address.js";
import { ingressSchema } from "./ingress-schema.js";
import { linkSchema } from "./link-schema.js";
import { routerSchema, serverSchema } from "./router-schema.js";
import { importanceSchema, restartSchema, supervisionSchema } from "./supervision-schema.js";
import { tlsSchema, upstreamTlsSchema } from "./tls-schema.js";
import { workerLimitsSchema } from "./worker-schema.js";

const text = z.string().min(1);
const whole = (min: number) => z.int().min(min);
const ms = (why: string) => z.number().min(0).describe(`${why}, in milliseconds`);

/** What `declares` holds; the host checks it further. */
const declaration = z
  .strictObject({
    selfId: text.describe("What the plugin calls itself"),
    selfVersion: text.exactOptional().describe("Semantic version of the plugin"),
    provides: z
      .array(
        z.strictObject({
          type: text.describe("Service type"),
          version: text.describe("Semantic version of the service"),
          path: text.exactOptional().describe('Where the service answers on the plugin; "/" if left out'),
        }),
      )
      .exactOptional()
      .describe("Services"),
    requires: z
      .array(
        z.strictObject({
          type: text.describe("Service type"),
          minVersion: text.exactOptional().describe("Lowest version, or an npm range; any if left out"),
          required: z.boolean().exactOptional().describe("Whether the plugin cannot work without it; true if left out"),
          methods: z
            .array(text)
            .exactOptional()
            .describe("The methods that it calls: Method, pkg.Service/Method, or a path; all if left out"),
        }),
      )
      .exactOptional()
      .describe("Dependencies"),
    metadata: z.record(text, z.string()).exactOptional().describe("Whatever else is to be known of it"),
  })
  .describe("What the plugin is: orders the start, is checked, and stands in for a plugin that cannot say it");

const sources = ["endpoint", "command", "module", "worker"] as const;

const plugin = z
  .strictObject({
    endpoint: text.exactOptional().describe("A program that runs already: http://host:port or unix:/path"),
    tls: upstreamTlsSchema
      .exactOptional()
      .describe("Certificates towards `endpoint`, for https:, in the place of `router.tls`"),
    command: text.exactOptional().describe("A program to start: a path, or a name that is looked up in PATH"),
    args: z.array(z.string()).exactOptional().describe("Arguments of `command` or `worker`"),
    env: z
      .record(text, z.string())
      .exactOptional()
      .describe("Variables for `command` or `worker`, beside those that the host sets"),
    cwd: text
      .exactOptional()
      .describe("Working directory of `command`, seen from the file's folder, which it is if left out"),
    onHostExit: z.enum(["stop", "keep"]).exactOptional().describe("What becomes of `command` if the host is killed"),
    module: text
      .exactOptional()
      .describe("A module for the host's own process: a path seen from the file's folder, or a package"),
    worker: text
      .exactOptional()
      .describe("A module for a worker thread: a path seen from the file's folder, or a package"),
    resourceLimits: workerLimitsSchema.exactOptional(),
    maxBufferMb: z.number().min(1).exactOptional().describe("What `worker` may hold outside of its heap, in MiB"),
    watchdogMs: z
      .union([z.number().min(100), z.literal(false)])
      .exactOptional()
      .describe("How long `worker` may answer nothing before it is ended, in milliseconds; false for ever"),
    declares: declaration.exactOptional(),
    restart: restartSchema.exactOptional(),
    importance: importanceSchema.exactOptional(),
    limits: z.lazy(() => limits).exactOptional(),
  })
  .check((context) => {
    const { value, issues } = context;
    const given = sources.filter((source) => value[source] !== undefined);
    const complain = (path: string[], message: string) =>
      issues.push({ code: "custom", input: value, path, message, continue: true });
    if (given.length !== 1) {
      complain(given.length === 0 ? [] : [given[1] ?? ""], `must have exactly one of ${sources.join(", ")}`);
    }
    if (value.tls !== undefined && value.endpoint === undefined) complain(["tls"], "belongs to an `endpoint`");
    const ofCommand = ["cwd", "onHostExit"] as const;
    const ofWorker = ["resourceLimits", "maxBufferMb", "watchdogMs"] as const;
    for (const name of ofCommand) {
      if (value[name] !== undefined && value.command === undefined) complain([name], "belongs to a `command`");
    }
    for (const name of ofWorker) {
      if (value[name] !== undefined && value.worker === undefined) complain([name], "belongs to a `worker`");
    }
    for (const name of ["args", "env"] as const) {
      if (value[name] === undefined || value.command !== undefined || value.worker !== undefined) continue;
      complain([name], "belongs to a `command` or a `worker`");
    }
  })
  .describe("One plugin, with exactly one of endpoint, command, module and worker");

const limits = z
  .strictObject({
    describeMs: ms("Launching and describing a plugin").exactOptional(),
    connectGraceMs: ms("How long a refused connection is dialled again while a plugin opens its port").exactOptional(),
    identifyMs: ms("Handing out the identity").exactOptional(),
    healthMs: ms("Getting healthy").exactOptional(),
    graceMs: ms("How long dependants of a removed plugin get to react").exactOptional(),
    drainMs: ms("How long calls in flight get to end").exactOptional(),
    shutdownMs: ms("How long a plugin gets to shut down").exactOptional(),
  })
  .describe("Time limits of the steps of add, remove and replace");

const health = z
  .strictObject({
    intervalMs: ms("Time between two polls of a plugin").exactOptional(),
    timeoutMs: ms("Limit of one poll").exactOptional(),
    retryMs: ms("Time to the next poll after a failed one").exactOptional(),
    startGraceMs: ms("How long failed polls of a plugin that was never seen do not count").exactOptional(),
    fallThreshold: whole(1).exactOptional().describe("Failed polls in a row that make a plugin unhealthy"),
    riseThreshold: whole(1).exactOptional().describe("Good polls in a row that make it healthy again"),
    ejectAfterFailures: whole(1).exactOptional().describe("Failed calls in a row that eject a plugin"),
    ejectMs: ms("First ejection; each further one in a row is twice as long").exactOptional(),
    maxEjectMs: ms("Longest ejection").exactOptional(),
  })
  .describe("Health settings");

const listen = text
  .refine((value) => parseListen(value) !== undefined, { error: `must be ${listenForm}` })
  .describe(`Where to listen: ${listenForm}`);

/** The configuration file of `serve`. Unknown names are refused: a misspelt one would have no effect. */
export const configSchema = z
  .strictObject({
    $schema: z.string().exactOptional().describe("For editors; not read"),
    listen: listen.exactOptional(),
    tls: tlsSchema.exactOptional(),
    publicUrl: text
      .exactOptional()
      .describe("Where plugins and callers reach the host if that is not where it listens"),
    adminToken: text.exactOptional().describe("Turns the admin service on, for whoever sends this token"),
    adminSocket: text
      .exactOptional()
      .describe("Path of a Unix socket for the admin service, which needs no token there"),
    adminListen: listen
      .exactOptional()
      .describe("A port of its own for the admin service; needs adminToken, and speaks TLS if `tls` is given"),
    joinToken: text.exactOptional().describe("Admits plugins that register by themselves"),
    allowOpenAdmission: z.boolean().exactOptional().describe("Admit anyone who reaches the host, also beyond loopback"),
    permissions: z
      .enum(["declared", "strict", "off"])
      .exactOptional()
      .describe("Whether plugins may call and register only what they declared"),
    baseUrls: z.enum(["peer-or-loopback", "any"]).exactOptional().describe("Where self-registered plugins may listen"),
    magicCookie: z
      .strictObject({ key: text, value: text })
      .exactOptional()
      .describe("The handshake's cookie; no secret"),
    appProtocolVersion: whole(0).exactOptional().describe("Version of the protocol between plugins and host program"),
    tokenTtlMs: ms("How long a token lives after the last proof of life").exactOptional(),
    hideSilentAfterMs: ms(
      "How long a plugin that registered by itself, offers nothing and cannot be reached is shown without a sign of life",
    ).exactOptional(),
    stopBudgetMs: ms("How long stopping may take").exactOptional(),
    stateDir: text
      .exactOptional()
      .describe(
        "Folder where the programs that run are written down for the next host, seen from the file's folder; made with mode 0700",
      ),
    sweepKept: z
      .boolean()
      .exactOptional()
      .describe("Stop kept programs of an earlier host that are not among `plugins`, once those have started"),
    callerRate: z
      .strictObject({ perSecond: z.number().positive(), burst: z.number().min(1) })
      .exactOptional()
      .describe("Calls that one caller may make"),
    limits: limits.exactOptional(),
    health: health.exactOptional(),
    router: routerSchema.exactOptional(),
    server: serverSchema.exactOptional(),
    selection: z
      .record(text, z.enum(["first", "round-robin", "random", "weighted", "least-in-flight"]))
      .exactOptional()
      .describe("How a provider is chosen, by service type"),
    link: linkSchema.exactOptional(),
    supervision: supervisionSchema.exactOptional(),
    ingress: z
      .array(ingressSchema)
      .exactOptional()
      .describe("Service types that callers who are no plugins reach under a path of the host"),
    capabilities: z
      .array(
        z.strictObject({
          type: text.describe("Capability type"),
          version: text.describe("Semantic version"),
          serviceType: text.describe("The service type whose providers serve it"),
        }),
      )
      .exactOptional()
      .describe("What plugins get from the host on request"),
    grants: z
      .strictObject({
        ttlMs: ms("How long a grant is good").exactOptional(),
        maxPerPlugin: whole(1).exactOptional().describe("Most grants of one plugin that are good at once"),
        allowAnonymous: z
          .boolean()
          .exactOptional()
          .describe("Whether callers without a plugin's identity may request capabilities"),
      })
      .exactOptional()
      .describe("Grants of capabilities"),
    plugins: z.array(plugin).exactOptional().describe("Plugins to start, in any order: the host finds the right one"),
  })
  .describe("Configuration of connect-plugin-host serve");

/** What a configuration file says. */
export type HostConfig = z.infer<typeof configSchema>;

/** The JSON schema of {@link configSchema}, for editors. */
export const configJsonSchema = (): object => z.toJSONSchema(configSchema, { target: "draft-2020-12" });
