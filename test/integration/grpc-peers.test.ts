import { Code } from "@connectrpc/connect";
import * as grpc from "@grpc/grpc-js";
import { beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { ContractHost, type Member } from "../support/contract-host.js";
import { Echo } from "../support/gen/echo/v1/echo_pb.js";
import {
  type GrpcEcho,
  type GrpcProvider,
  grpcEcho,
  metadataOf,
  resultOf,
  startGrpcProvider,
  type Texts,
} from "../support/grpc-peer.js";

interface Scene {
  readonly host: ContractHost;
  readonly provider: GrpcProvider;
  readonly client: GrpcEcho;
  readonly app: Member;
}

/** A provider of grpc-js behind a host, exposed at the root, and a client of grpc-js. */
async function startScene(): Promise<Scene> {
  const host = await ContractHost.start({
    ingress: [{ prefix: "/", type: "echo", access: "open" }],
    router: { startGraceMs: 1 },
  });
  onTestFinished(() => host[Symbol.asyncDispose]());
  const provider = await startGrpcProvider();
  onTestFinished(() => provider[Symbol.asyncDispose]());
  await host.platform.addPlugin({
    endpoint: provider.url,
    declares: {
      selfId: "grpc-js",
      selfVersion: "1.0.0",
      provides: [{ type: "echo", version: "1.0.0", path: "/echo.v1.Echo/" }],
      metadata: { protocols: "h2c" },
    },
  });
  const client = grpcEcho(`127.0.0.1:${host.port}`);
  onTestFinished(() => client.close());
  return { host, provider, client, app: await host.join("app") };
}

const ways: readonly { name: string; headers: (scene: Scene) => Record<string, string>; caller: RegExp }[] = [
  { name: "what is exposed at the root", headers: () => ({}), caller: /^ingress$/ },
  {
    name: "X-Plugin-Target",
    headers: ({ app }) => ({ ...app.headers, "x-plugin-target": "echo/any" }),
    caller: /^app-[0-9a-f]+$/,
  },
];

describe.each(ways)("a grpc-js client reaches a grpc-js server by $name", ({ headers, caller }) => {
  let scene: Scene;
  let metadata: grpc.Metadata;
  beforeEach(async () => {
    scene = await startScene();
    metadata = metadataOf({ "x-mine": "value", ...headers(scene) });
    metadata.set("x-mine-bin", Buffer.from([0, 1, 255]));
  });
  const say = (text: string, options: grpc.CallOptions = {}) => {
    const answers: Texts[] = [];
    const call = scene.client.say({ text }, metadata, options, (_error, answer) => {
      if (answer !== undefined) answers.push(answer);
    });
    return { call, result: resultOf(call, answers) };
  };
  const sawAll = ({ head, status }: { head: grpc.Metadata | undefined; status: grpc.StatusObject }) => {
    expect(status.code).toBe(grpc.status.OK);
    expect(head?.get("x-head")).toEqual(["h"]);
    expect(status.metadata.get("x-tail")).toEqual(["t"]);
  };

  test("with a unary call, metadata both ways, and trailers", async () => {
    const result = await say("hi").result;

    expect(result.answers).toMatchObject([{ text: "hi", provider: "grpc-js" }]);
    sawAll(result);
    const [seen] = scene.provider.seen;
    expect(seen?.get("x-mine")).toEqual(["value"]);
    expect(seen?.get("x-mine-bin")).toEqual([Buffer.from([0, 1, 255])]);
    expect(seen?.get("x-plugin-caller-id")).toEqual([expect.stringMatching(caller)]);
    expect(seen?.get("x-plugin-target")).toEqual([]);
    expect(seen?.get("x-plugin-runtime-id")).toEqual([]);
    expect(seen?.get("authorization")).toEqual([]);
  });

  test("with a server stream", async () => {
    const result = await resultOf(scene.client.serverStream({ text: "a", count: 500 }, metadata));

    expect(result.answers.map(({ index }) => index)).toEqual(Array.from({ length: 500 }, (_, index) => index));
    sawAll(result);
  });

  test("with a client stream", async () => {
    const answers: Texts[] = [];
    const call = scene.client.clientStream(metadata, {}, (_error, answer) => {
      if (answer !== undefined) answers.push(answer);
    });
    const result = resultOf(call, answers);
    for (const text of ["a", "b", "c"]) call.write({ text });
    call.end();

    sawAll(await result);
    expect(answers).toMatchObject([{ text: "abc", count: 3 }]);
  });

  test("with both directions at once: each answer comes before the next question", async () => {
    const call = scene.client.bidiStream(metadata);
    const result = resultOf(call);
    const back: string[] = [];
    call.on("data", ({ text }: Texts) => {
      back.push(text ?? "");
      if (back.length < 4) call.write({ text: String(back.length) });
      else call.end();
    });
    call.write({ text: "0" });

    sawAll(await result);
    expect(back).toEqual(["0", "1", "2", "3"]);
  });

  test("with errors: code, text and trailers, of a call and after answers of a stream", async () => {
    const unary = await say("fail").result;
    const stream = await resultOf(scene.client.serverStream({ text: "fail", count: 2 }, metadata));

    for (const { status } of [unary, stream]) {
      expect(status).toMatchObject({ code: grpc.status.ALREADY_EXISTS, details: "as asked: äöü" });
      expect(status.metadata.get("x-tail")).toEqual(["of an error"]);
    }
    expect(stream.answers).toHaveLength(2);
  });

  test("with a deadline, which the provider sees, and which ends the call there too", async () => {
    const { result } = say("hang", { deadline: Date.now() + 400 });

    expect((await result).status.code).toBe(grpc.status.DEADLINE_EXCEEDED);
    expect(await scene.provider.hanging).toBeLessThanOrEqual(400);
    await scene.provider.cancelled;
  });

  test("with a cancelled call, which is cancelled at the provider", async () => {
    const { call, result } = say("hang");
    await scene.provider.hanging;

    call.cancel();

    expect((await result).status.code).toBe(grpc.status.CANCELLED);
    await scene.provider.cancelled;
  });

  test("with messages larger than a window of HTTP/2", async () => {
    const text = "x".repeat(300_000);
    const result = await say(text).result;

    expect(result.answers[0]?.text === text).toBe(true);
  });

  test("no more when the provider is gone: unavailable, with its name", async () => {
    await scene.provider[Symbol.asyncDispose]();

    const { status } = await say("hi").result;

    expect(status.code).toBe(grpc.status.UNAVAILABLE);
    expect(status.details).toContain("grpc-js-");
  });
});

test("a grpc-js client is told in its protocol why it may not call", async () => {
  const { client, app } = await startScene();
  const statusOf = async (headers: Record<string, string>) =>
    (await resultOf(client.say({}, metadataOf(headers), {}, () => {}))).status;

  expect(await statusOf({ "x-plugin-target": "echo/any" })).toMatchObject({ code: grpc.status.UNAUTHENTICATED });
  expect(await statusOf({ ...app.headers, "x-plugin-target": "nobody/any" })).toMatchObject({
    code: grpc.status.NOT_FOUND,
    details: expect.stringContaining("nobody"),
  });
  expect(await statusOf({ ...app.headers, "x-plugin-target": "echo/../x" })).toMatchObject({
    code: grpc.status.INVALID_ARGUMENT,
  });
});

test("a plugin of Connect calls a provider that speaks gRPC over h2c only, by gRPC", async () => {
  const { host, app } = await startScene();
  const echo = host.client(Echo, { protocol: "gRPC", path: "/services/echo/any", headers: app.headers });

  expect(await echo.say({ text: "hi" })).toMatchObject({ text: "hi", provider: "grpc-js" });
  await expect(echo.say({ text: "fail" })).rejects.toMatchObject({ code: Code.AlreadyExists });
});
