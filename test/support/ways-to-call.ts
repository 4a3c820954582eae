import { create, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, type Interceptor, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { fieldValue } from "../../src/http/field-list.js";
import type { HostedModule, ModuleEnvironment } from "../../src/index.js";
import { callKind } from "../../src/link/frame.js";
import { InProcessTransport } from "../../src/link/in-process-transport.js";
import { callerOf, definePlugin, servePlugin } from "../../src/plugin/index.js";
import { echoOnly } from "./echo-plugin.js";
import { Echo, SayRequestSchema, ServerStreamRequestSchema } from "./gen/echo/v1/echo_pb.js";
import type { Identity, TestHost } from "./host.js";
import { linkPlugin } from "./link-plugin.js";

/** The methods that are called. */
export type Called = "Say" | "ServerStream";

/** What a call came to: `ok`, or the code and the message of its error. */
export interface Outcome {
  readonly code: string;
  readonly message: string;
  /** The host's own code, if it gave one. */
  readonly errorCode?: string;
}

/** One way for a call to reach a provider. */
export interface WayToCall {
  readonly name: string;
  /** Whether providers have to be modules. */
  readonly inProcess: boolean;
  call(host: TestHost, identity: Identity, type: string, idOrAny: string, method: Called): Promise<Outcome>;
}

/** Offers `type` and says in `Say`, as `provider`, who calls it. */
const callerEcho = (type: string) =>
  definePlugin({
    id: `${type}-plugin`,
    version: "1.0.0",
    provides: { [type]: { service: Echo } },
    setup: () =>
      ({
        [type]: {
          ...echoOnly(type),
          say: ({ text }: { text: string }, context: { requestHeader: Headers }) => ({
            text,
            provider: JSON.stringify(callerOf(context)),
          }),
        },
      }) as never,
  });

/** Adds a provider of each type, and returns its runtime id. */
export async function addProviders(
  host: TestHost,
  inProcess: boolean,
  types: readonly string[],
): Promise<ReadonlyMap<string, string> & AsyncDisposable> {
  const ids = new Map<string, string>();
  const served: { stop(): Promise<void> }[] = [];
  for (const type of types) {
    const plugin = callerEcho(type);
    if (inProcess) {
      ids.set(type, (await host.platform.addPlugin({ module: plugin })).runtimeId);
      continue;
    }
    const endpoint = await servePlugin(plugin, { env: {}, graceMs: 500 });
    served.push(endpoint);
    ids.set(type, (await host.platform.addPlugin({ endpoint: endpoint.url })).runtimeId);
  }
  return Object.assign(ids, {
    async [Symbol.asyncDispose]() {
      await Promise.all(served.map((endpoint) => endpoint.stop()));
    },
  });
}

/** Calls over any Connect transport. `Say` answers with who the provider says is calling. */
export async function callOver(transport: Transport, method: Called): Promise<Outcome> {
  const client = createClient(Echo, transport);
  try {
    if (method === "Say") return { code: "ok", message: (await client.say({ text: "hi" })).provider };
    for await (const _ of client.serverStream({ text: "hi", count: 1 }));
    return { code: "ok", message: "" };
  } catch (error) {
    const { code, rawMessage, metadata } = ConnectError.from(error);
    return { code: codeName(code), message: rawMessage, errorCode: metadata.get("error-code") ?? "" };
  }
}

const codeName = (code: Code): string => (Code[code] ?? "").replace(/(?!^)([A-Z])/g, "_$1").toLowerCase();

const withHeaders =
  (headers: Readonly<Record<string, string>>): Interceptor =>
  (next) =>
  (request) => {
    for (const [name, value] of Object.entries(headers)) request.header.set(name, value);
    return next(request);
  };

const proof = ({ runtimeId, token }: Identity) => ({
  "x-plugin-runtime-id": runtimeId,
  authorization: `Bearer ${token}`,
});

interface Target {
  readonly interceptors: Interceptor[];
  readonly byPath: string;
  readonly byHeader: Interceptor[];
  readonly url: string;
}

const overTransport =
  (make: (target: Target) => Transport): WayToCall["call"] =>
  (host, identity, type, idOrAny, method) => {
    const headers = proof(identity);
    const target = {
      url: host.url,
      byPath: `${host.url}/services/${type}/${idOrAny}`,
      interceptors: [withHeaders(headers)],
      byHeader: [withHeaders({ ...headers, "x-plugin-target": `${type}/${idOrAny}` })],
    };
    return callOver(make(target), method);
  };

/** Everything but the direct way within the process. */
const waysOverTheWire: readonly WayToCall[] = [
  {
    name: "Connect over HTTP/1.1",
    inProcess: false,
    call: overTransport(({ byPath, interceptors }) =>
      createConnectTransport({ httpVersion: "1.1", baseUrl: byPath, interceptors }),
    ),
  },
  {
    name: "Connect over HTTP/2, with X-Plugin-Target",
    inProcess: false,
    call: overTransport(({ url, byHeader }) =>
      createConnectTransport({ httpVersion: "2", baseUrl: url, interceptors: byHeader }),
    ),
  },
  {
    name: "gRPC over HTTP/2",
    inProcess: false,
    call: overTransport(({ url, byHeader }) => createGrpcTransport({ baseUrl: url, interceptors: byHeader })),
  },
  {
    name: "gRPC-Web",
    inProcess: false,
    call: overTransport(({ byPath, interceptors }) =>
      createGrpcWebTransport({ httpVersion: "1.1", baseUrl: byPath, interceptors }),
    ),
  },
  {
    name: "a link",
    inProcess: false,
    async call(host, identity, type, idOrAny, method) {
      await using plugin = await linkPlugin(host.url, identity);
      const message =
        method === "Say"
          ? toBinary(SayRequestSchema, create(SayRequestSchema, { text: "hi" }))
          : toBinary(ServerStreamRequestSchema, create(ServerStreamRequestSchema, { text: "hi", count: 1 }));
      const kind = method === "Say" ? callKind.unary : callKind.serverStream;
      const path = `/services/${type}/${idOrAny}/${method}`;
      // The messages are ASCII, so they are the same as a text.
      const { end, reset, messages } = await plugin.call(path, [Buffer.from(message).toString("latin1")], { kind });
      if (end === undefined) return { code: "reset", message: reset?.message ?? "" };
      // The answer is not decoded: the JSON in it is what follows the first brace.
      if (end.code === 0) return { code: "ok", message: (messages[0] ?? "").replace(/^[^{]*/, "") };
      return {
        code: codeName(end.code as Code),
        message: end.message,
        errorCode: fieldValue(end.trailers, "error-code") ?? "",
      };
    },
  },
];

/** What the host gives to modules, taken from one that does nothing else. */
async function moduleEnvironment(host: TestHost): Promise<ModuleEnvironment> {
  let taken: ModuleEnvironment | undefined;
  const idle = definePlugin({ id: "idle", version: "1.0.0", setup() {} });
  const module: HostedModule = {
    id: idle.id,
    version: idle.version,
    declares: idle.declares,
    start(environment) {
      taken = environment;
      return idle.start(environment);
    },
  };
  await host.platform.addPlugin({ module });
  if (taken === undefined) throw new Error("the module was not started");
  return taken;
}

const inProcess: WayToCall = {
  name: "in process",
  inProcess: true,
  async call(host, identity, type, _any, method) {
    const environment = await moduleEnvironment(host);
    const route = environment.inProcess?.route(identity, type);
    const connection = createConnectTransport({ httpVersion: "1.1", baseUrl: "http://nowhere.invalid" });
    return callOver(new InProcessTransport({ route: () => route, connection, interceptors: [] }), method);
  },
};

/** Every way for a plugin to call another. */
export const waysToCall: readonly WayToCall[] = [...waysOverTheWire, inProcess];
