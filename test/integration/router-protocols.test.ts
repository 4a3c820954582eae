import type { AddressInfo } from "node:net";
import type { Transport } from "@connectrpc/connect";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { describe, expect, test } from "vitest";
import { connectHandler } from "../../src/http/connect-handler.js";
import { createOnePortServer } from "../../src/http/one-port-server.js";
import { Echo } from "../support/gen/echo/v1/echo_pb.js";
import { startCall, within } from "../support/http-server.js";
import { pluginRecord, registrationRecord, startRawProvider, startRouter } from "../support/router-host.js";

async function startEcho() {
  const connect = connectHandler({
    routes: (router) => {
      router.service(Echo, {
        say: ({ text }, { responseHeader, responseTrailer }) => {
          responseHeader.set("x-head", "h");
          responseTrailer.set("x-tail", "t");
          if (text === "fail") throw new ConnectError("as asked", Code.AlreadyExists);
          return { text, provider: "echo" };
        },
        async *serverStream({ text, count }) {
          for (let index = 0; index < count; index++) yield { text, index };
          if (text === "fail") throw new ConnectError("as asked", Code.DataLoss);
        },
        async clientStream(requests) {
          let count = 0;
          let text = "";
          for await (const request of requests) {
            text += request.text;
            count++;
          }
          return { text, count };
        },
        async *bidiStream(requests) {
          for await (const { text } of requests) yield { text: text.toUpperCase() };
        },
      });
    },
  });
  const server = createOnePortServer({
    handler: async (exchange) => {
      await connect.handle(exchange);
    },
  });
  await server.listen({ port: 0 });
  const { port } = server.address() as AddressInfo;
  return { port, [Symbol.asyncDispose]: () => server.close({ graceMs: 0 }) };
}

const dispatch: readonly { name: string; make: (baseUrl: string) => Transport; http1: boolean }[] = [
  {
    name: "Connect over HTTP/1.1",
    http1: true,
    make: (baseUrl) => createConnectTransport({ baseUrl, httpVersion: "1.1" }),
  },
  {
    name: "Connect JSON over HTTP/2",
    http1: false,
    make: (baseUrl) => createConnectTransport({ baseUrl, httpVersion: "2", useBinaryFormat: false }),
  },
  {
    name: "Connect GET",
    http1: true,
    make: (baseUrl) => createConnectTransport({ baseUrl, httpVersion: "1.1", useHttpGet: true }),
  },
  {
    name: "gRPC-Web over HTTP/1.1",
    http1: true,
    make: (baseUrl) => createGrpcWebTransport({ baseUrl, httpVersion: "1.1" }),
  },
  {
    name: "gRPC-Web over HTTP/2",
    http1: false,
    make: (baseUrl) => createGrpcWebTransport({ baseUrl, httpVersion: "2" }),
  },
  { name: "gRPC", http1: false, make: (baseUrl) => createGrpcTransport({ baseUrl }) },
];

describe.each(dispatch)("$name", ({ make, http1 }) => {
  test("gets all kinds of calls, results and errors through", async () => {
    await using echo = await startEcho();
    await using host = await startRouter();
    const address = { kind: "http", url: `http://127.0.0.1:${echo.port}`, protocols: undefined } as const;
    host.view.add(pluginRecord({ address }), registrationRecord({ path: "/echo.v1.Echo/" }));
    const client = createClient(Echo, make(`${host.url}/services/logger/any`));
    let tail: string | null = null;
    const onTrailer = (trailer: Headers): void => {
      tail = trailer.get("x-tail");
    };
    expect((await client.say({ text: "hi" }, { onTrailer })).text).toBe("hi");
    expect(tail).toBe("t");
    await expect(client.say({ text: "fail" })).rejects.toMatchObject({
      code: Code.AlreadyExists,
      rawMessage: "as asked",
    });
    const indexes: number[] = [];
    for await (const { index } of client.serverStream({ text: "a", count: 3 })) indexes.push(index);
    expect(indexes).toEqual([0, 1, 2]);
    await expect(
      (async () => {
        for await (const answer of client.serverStream({ text: "fail", count: 1 })) void answer;
      })(),
    ).rejects.toMatchObject({ code: Code.DataLoss });
    const texts = async function* () {
      yield { text: "a" };
      yield { text: "b" };
    };
    expect(await client.clientStream(texts())).toMatchObject({ text: "ab", count: 2 });
    if (!http1) {
      const upper: string[] = [];
      for await (const { text } of client.bidiStream(texts())) upper.push(text);
      expect(upper).toEqual(["A", "B"]);
    }
    await within(1_000, "the events", host.event(http1 ? 5 : 6));
    const codes = host.events.map(({ code }) => code);
    expect(codes.slice(0, 5)).toEqual(["ok", expect.stringMatching(/already_exists|aborted/), "ok", "data_loss", "ok"]);
    expect(host.events.every(({ outcome }) => outcome === "completed")).toBe(true);
    expect(host.errors).toEqual([]);
  });

  test("understands every refusal of the host", async () => {
    await using host = await startRouter();
    const client = createClient(Echo, make(`${host.url}/services/logger/any`));
    const refusal = async (): Promise<ConnectError> =>
      ConnectError.from(await client.say({ text: "x" }).catch((error) => error));
    const streamRefusal = async (): Promise<ConnectError> => {
      try {
        for await (const answer of client.serverStream({ text: "x", count: 1 })) void answer;
      } catch (error) {
        return ConnectError.from(error);
      }
      throw new Error("was not refused");
    };
    expect((await refusal()).code).toBe(Code.NotFound);
    expect((await streamRefusal()).code).toBe(Code.NotFound);
    host.caller = { refused: "the token has expired: äöü" };
    expect(await refusal()).toMatchObject({ code: Code.Unauthenticated, rawMessage: "the token has expired: äöü" });
    expect(await streamRefusal()).toMatchObject({
      code: Code.Unauthenticated,
      rawMessage: "the token has expired: äöü",
    });
    host.caller = { kind: "host" };
    host.view.add(pluginRecord({ address: { kind: "http", url: "http://127.0.0.1:1", protocols: undefined } }));
    expect((await refusal()).code).toBe(Code.Unavailable);
    host.view.forbidden = "not yours";
    expect(await streamRefusal()).toMatchObject({ code: Code.PermissionDenied, rawMessage: "not yours" });
    await host.event(6);
  });
});

test.each(["1.1", "2"] as const)(
  "a stream that breaks off within a message is cut off, over HTTP/%s",
  async (version) => {
    await using provider = await startRawProvider((socket) => {
      socket.once("data", () => {
        socket.write("HTTP/1.1 200 OK\r\nContent-Type: application/connect+json\r\nTransfer-Encoding: chunked\r\n\r\n");
        socket.write("3\r\n\0\0\0\r\n");
        setTimeout(() => socket.resetAndDestroy(), 20);
      });
    });
    await using host = await startRouter();
    host.view.add(pluginRecord({ address: provider.address(["h1"]) }));
    const headers = { "content-type": "application/connect+json" };
    using call = startCall(host, version, { path: "/services/logger/any/x", headers });
    call.request.end();
    await within(1_000, "the head", call.head);
    await expect(within(1_000, "the break", call.answer())).rejects.toThrow(/cut off|aborted|INTERNAL_ERROR/);
  },
);

describe("a stream whose provider breaks off", () => {
  // One whole message ("\n\x01a" is text "a"), and perhaps the beginning of another.
  const message = "\x00\x00\x00\x00\x03\n\x01a";
  const kinds = [
    {
      name: "Connect",
      type: "application/connect+proto",
      make: (baseUrl: string) => createConnectTransport({ baseUrl, httpVersion: "1.1" }),
    },
    {
      name: "gRPC-Web",
      type: "application/grpc-web+proto",
      make: (baseUrl: string) => createGrpcWebTransport({ baseUrl, httpVersion: "1.1" }),
    },
  ];

  test.each(kinds)(
    "ends $name with unavailable where a message has ended, and is cut off elsewhere",
    async ({ type, make }) => {
      for (const [bytes, whole] of [
        [message, true],
        [`${message}\x00\x00`, false],
      ] as const) {
        await using provider = await startRawProvider((socket) => {
          socket.once("data", () => {
            const size = bytes.length.toString(16);
            socket.write(
              `HTTP/1.1 200 OK\r\nContent-Type: ${type}\r\nTransfer-Encoding: chunked\r\n\r\n${size}\r\n${bytes}\r\n`,
              "latin1",
            );
            setTimeout(() => socket.resetAndDestroy(), 20);
          });
        });
        await using host = await startRouter();
        host.view.add(
          pluginRecord({ address: provider.address(["h1"]) }),
          registrationRecord({ path: "/echo.v1.Echo/" }),
        );
        const client = createClient(Echo, make(`${host.url}/services/logger/any`));
        const texts: string[] = [];
        let error: unknown;
        try {
          for await (const { text } of client.serverStream({ text: "", count: 1 })) texts.push(text);
        } catch (caught) {
          error = caught;
        }
        expect(texts).toEqual(["a"]);
        expect(error).toBeInstanceOf(ConnectError);
        if (whole)
          expect(error).toMatchObject({ code: Code.Unavailable, rawMessage: expect.stringContaining("broke off") });
        expect(await host.event()).toMatchObject({ outcome: "provider-failed", code: "unavailable" });
      }
    },
  );
});
