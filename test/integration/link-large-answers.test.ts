import http from "node:http";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { expect, test } from "vitest";
import { Platform } from "../../src/index.js";
import { deferred } from "../../src/internal/deferred.js";
import { definePlugin, servePlugin } from "../../src/plugin/index.js";
import { echoOnly } from "../support/echo-plugin.js";
import { Echo, SayRequestSchema } from "../support/gen/echo/v1/echo_pb.js";

const refusal = (bytes: number): ConnectError =>
  new ConnectError("refused", Code.InvalidArgument, undefined, [
    { desc: SayRequestSchema, value: { text: "d".repeat(bytes) } },
  ]);

// What is said says what is to be answered.
const provider = definePlugin({
  id: "provider",
  version: "1.0.0",
  provides: { echo: { service: Echo } },
  setup: () => ({
    echo: {
      ...echoOnly("provider"),
      say({ text }, context) {
        const [what, count] = text.split(" ");
        if (what === "details") throw refusal(Number(count));
        if (what === "fields") for (let at = 0; at < Number(count); at++) context.responseHeader.set(`x-${at}`, "v");
        if (what === "trailer") context.responseTrailer.set("x-t", "t".repeat(Number(count)));
        return { text: `${context.requestHeader.get("x-last") ?? "none"}` };
      },
      async *serverStream({ text, count }) {
        yield { text, index: 0 };
        throw new ConnectError(text, count as Code);
      },
    },
  }),
});

/** A host with the provider on a link and nothing else, and a caller that is on a link, too. */
async function start() {
  const platform = new Platform({ ingress: [{ prefix: "/", type: "echo", access: "open" }] });
  await platform.listen({ port: 0 });
  const url = platform.url as string;
  const serve = async (plugin: Parameters<typeof servePlugin>[0]) => {
    const running = await servePlugin(plugin, { hostUrl: url, env: {}, listen: "never" });
    await running.registered;
    return running;
  };
  const plugins = [await serve(provider)];
  return {
    url,
    async linkedClient() {
      const made = deferred<ReturnType<typeof createClient<typeof Echo>>>();
      const requires = { echo: { service: Echo } };
      const setup = (context: { client(name: "echo"): ReturnType<typeof createClient<typeof Echo>> }) =>
        made.resolve(context.client("echo"));
      plugins.unshift(await serve(definePlugin({ id: "caller", version: "1.0.0", requires, setup })));
      return made.promise;
    },
    async [Symbol.asyncDispose]() {
      for (const plugin of plugins) await plugin.stop({ graceMs: 0 });
      await platform.stop();
    },
  };
}

/** A call over plain HTTP, by a caller that takes large heads. */
function post(url: string, text: string, fields: http.OutgoingHttpHeaders = {}) {
  const answer = deferred<{ status: number | undefined; headers: http.IncomingHttpHeaders; body: string }>();
  const options = {
    method: "POST",
    maxHeaderSize: 131_072,
    headers: { "content-type": "application/json", ...fields },
  };
  const request = http.request(`${url}/echo.v1.Echo/Say`, options, (response) => {
    const chunks: Buffer[] = [];
    response.on("data", (chunk: Buffer) => chunks.push(chunk));
    response.on("end", () => {
      const { statusCode: status, headers } = response;
      answer.resolve({ status, headers, body: Buffer.concat(chunks).toString() });
    });
  });
  request.on("error", answer.reject);
  request.end(JSON.stringify({ text }));
  return answer.promise;
}

const failureOf = (call: Promise<unknown>): Promise<ConnectError> =>
  call.then(() => Promise.reject(new Error("no failure")), ConnectError.from);

const shown = (error: ConnectError) => [
  error.code,
  error.rawMessage,
  error.findDetails(SayRequestSchema)[0]?.text.length,
];

test("errors with large details reach callers on links as they were thrown", async () => {
  await using host = await start();
  const client = await host.linkedClient();
  for (const size of [40_000, 500_000]) {
    expect(shown(await failureOf(client.say({ text: `details ${size}` })))).toEqual([
      Code.InvalidArgument,
      "refused",
      size,
    ]);
  }
  expect(shown(await failureOf(client.say({ text: "details 1100000" })))).toEqual([
    Code.InvalidArgument,
    "refused",
    undefined,
  ]);
});

test("a caller of gRPC gets the details that HTTP/2 has room for, and in any case what has failed", async () => {
  await using host = await start();
  const client = createClient(Echo, createGrpcTransport({ baseUrl: host.url }));
  const of = async (size: number) => shown(await failureOf(client.say({ text: `details ${size}` })));
  expect(await of(45_000)).toEqual([Code.InvalidArgument, "refused", 45_000]);
  for (let call = 0; call < 6; call++) expect(await of(100_000)).toEqual([Code.InvalidArgument, "refused", undefined]);
  expect(await client.say({ text: "hi" })).toMatchObject({ text: "none" });
});

test("requests and answers with many fields and large trailers pass as over HTTP", async () => {
  await using host = await start();
  const many = await post(host.url, "fields 300");
  expect([many.status, many.headers["x-299"]]).toEqual([200, "v"]);
  const large = await post(host.url, "trailer 40000");
  expect([large.status, large.headers["trailer-x-t"]]).toEqual([200, "t".repeat(40_000)]);
  const fields = Object.fromEntries(Array.from({ length: 190 }, (_, index) => [`x-c-${index}`, "v".repeat(150)]));
  const asked = await post(host.url, "hi", { ...fields, "x-last": "seen" });
  expect([asked.status, JSON.parse(asked.body)]).toEqual([200, { text: "seen" }]);
});

test("an answer with more than a link carries is an error of its own, and its provider goes on", async () => {
  await using host = await start();
  for (let call = 0; call < 6; call++) {
    const { status, body } = await post(host.url, "trailer 140000");
    expect([status, JSON.parse(body)]).toEqual([
      500,
      {
        code: "internal",
        message: expect.stringMatching(/has answered with too much: head of the answer: \d+ fields with 14/),
      },
    ]);
  }
  expect(await post(host.url, "hi")).toMatchObject({ status: 200 });
  const client = await host.linkedClient();
  const error = await failureOf(client.say({ text: "trailer 140000" }));
  expect([error.code, error.rawMessage]).toEqual([
    Code.Internal,
    expect.stringContaining("end of the call: 1 fields with 14"),
  ]);
});

test.each([0, 99])("a stream that fails with %d, which is no code, is not taken for complete", async (code) => {
  await using host = await start();
  const client = await host.linkedClient();
  const read = async () => {
    for await (const _ of client.serverStream({ text: "why", count: code }));
  };
  expect(shown(await failureOf(read()))).toEqual([Code.Unknown, "why", undefined]);
});
