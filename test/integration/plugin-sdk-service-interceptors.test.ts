import { type Client, Code, createClient, createContextKey, type Interceptor } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { describe, expect, onTestFinished, test } from "vitest";
import { definePlugin, servePlugin } from "../../src/plugin/index.js";
import { bearerToken, peerIdentity, requireBearer, requireCertificate } from "../../src/plugin/interceptors/index.js";
import { createAuthority } from "../support/certificates.js";
import { echoOnly } from "../support/echo-plugin.js";
import { Echo } from "../support/gen/echo/v1/echo_pb.js";
import { startHost } from "../support/host.js";
import { startCaller, type Way, ways } from "../support/running-caller.js";

const user = createContextKey<string | undefined>(undefined);
const header = "x-app-authorization";

/** Says whose token it got, and upper case in all that it answers. */
const guarded = (serviceInterceptors: readonly Interceptor[]) =>
  definePlugin({
    id: "guarded",
    version: "1.0.0",
    provides: { echo: { service: Echo } },
    serviceInterceptors,
    setup: () => ({
      echo: {
        ...echoOnly("guarded"),
        say: ({ text }, { values, responseHeader }) => {
          responseHeader.set("x-seen", "yes");
          return { text, provider: values.get(user) ?? "nobody" };
        },
      },
    }),
  });

async function* texts(...given: string[]): AsyncGenerator<{ text: string }> {
  for (const text of given) yield { text };
}

async function clientFor(way: Way, requires: object): Promise<Client<typeof Echo>> {
  const host = await startHost();
  onTestFinished(() => host[Symbol.asyncDispose]());
  const auth = requireBearer({ tokens: new Map([["s3cret", "ann"]]), as: user, header });
  const plugin = guarded([auth]);
  if (way === "in process") await host.platform.addPlugin({ module: plugin });
  else {
    const served = await servePlugin(plugin, {
      env: {},
      hostUrl: host.url,
      link: way === "over HTTP" ? "off" : "auto",
    });
    onTestFinished(() => served.stop({ graceMs: 0 }));
  }
  const caller = await startCaller(way, host, requires);
  onTestFinished(() => caller[Symbol.asyncDispose]());
  return caller.context.client("echo" as never) as Client<typeof Echo>;
}

describe.each(ways)("interceptors of a service that is called %s", (way) => {
  test("see every kind of call, can refuse it, and give values to implementations", async () => {
    const interceptors = [bearerToken("s3cret", { header })];
    const client = await clientFor(way, { echo: { service: Echo, interceptors } });
    let seen: string | null = "";
    const onHeader = (headers: Headers): void => {
      seen = headers.get("x-seen");
    };
    expect(await client.say({ text: "hi" }, { onHeader })).toMatchObject({ text: "hi", provider: "ann" });
    expect(seen).toBe("yes");
    const indexes: number[] = [];
    for await (const { index } of client.serverStream({ text: "a", count: 3 })) indexes.push(index);
    expect(indexes).toEqual([0, 1, 2]);
    expect(await client.clientStream(texts("a", "b"))).toMatchObject({ text: "ab", count: 2 });
    const answers: string[] = [];
    for await (const { text } of client.bidiStream(texts("c", "d"))) answers.push(text);
    expect(answers).toEqual(["c", "d"]);
  });

  test("refuse calls of every kind without a token", async () => {
    const client = await clientFor(way, { echo: { service: Echo } });
    const refused = { code: Code.Unauthenticated };
    await expect(client.say({ text: "hi" })).rejects.toMatchObject(refused);
    await expect(client.clientStream(texts("a"))).rejects.toMatchObject(refused);
    for (const stream of [client.serverStream({ count: 1 }), client.bidiStream(texts("a"))]) {
      const read = async (): Promise<void> => {
        for await (const _ of stream);
      };
      await expect(read()).rejects.toMatchObject(refused);
    }
  });
});

test("a plugin takes calls over TLS only from those whose certificate is on its list", async () => {
  const authority = createAuthority();
  const own = authority.issue();
  const seen: (readonly string[] | undefined)[] = [];
  const plugin = definePlugin({
    id: "private",
    version: "1.0.0",
    provides: { echo: { service: Echo } },
    serviceInterceptors: [requireCertificate({ allow: ["DNS:good.example"] })],
    setup: () => ({
      echo: {
        ...echoOnly("private"),
        say: ({ text }, { values }) => {
          seen.push(values.get(peerIdentity)?.names);
          return { text };
        },
      },
    }),
  });
  const tls = { cert: own.cert, key: own.key, clientCa: authority.ca, clientCertificates: "optional" as const };
  const served = await servePlugin(plugin, { env: {}, tls });
  onTestFinished(() => served.stop({ graceMs: 0 }));
  for (const httpVersion of ["1.1", "2"] as const) {
    const call = (nodeOptions: object) =>
      createClient(
        Echo,
        createConnectTransport({
          httpVersion,
          baseUrl: served.url,
          nodeOptions: { ca: authority.ca, ...nodeOptions },
        }),
      ).say({ text: "hi" });
    const good = authority.issue({ names: ["good.example"] });
    const other = authority.issue({ names: ["other.example"] });
    expect((await call({ cert: good.cert, key: good.key })).text).toBe("hi");
    await expect(call({ cert: other.cert, key: other.key })).rejects.toMatchObject({ code: Code.PermissionDenied });
    await expect(call({})).rejects.toMatchObject({ code: Code.Unauthenticated });
  }
  expect(seen).toHaveLength(2);
  expect(seen[0]).toContain("DNS:good.example");
});
