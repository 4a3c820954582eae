import { create, createFileRegistry, createRegistry } from "@bufbuild/protobuf";
import {
  DurationSchema,
  FieldDescriptorProto_Type,
  FileDescriptorProtoSchema,
  file_google_protobuf_any,
} from "@bufbuild/protobuf/wkt";
import { type Client, Code } from "@connectrpc/connect";
import { beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { fieldValue } from "../../src/http/field-list.js";
import { deferred } from "../../src/internal/deferred.js";
import { callKind } from "../../src/link/frame.js";
import { type DefinedPlugin, definePlugin, servePlugin } from "../../src/plugin/index.js";
import { builtExamples } from "../support/built-examples.js";
import { Echo } from "../support/gen/echo/v1/echo_pb.js";
import { startHost, type TestHost } from "../support/host.js";
import { linkPlugin } from "../support/link-plugin.js";
import { startCaller, ways } from "../support/running-caller.js";
import strict from "../support/worker-plugins/strict.js";
import { workerModule } from "../support/workers.js";

beforeAll(() => void builtExamples(), 60_000);

const places = ["on a port of its own", "behind a link", "in the host's process", "in a worker thread"] as const;
type Place = (typeof places)[number];

const ingress = { ingress: [{ prefix: "/", type: "echo", access: "open" as const }] };

async function hostWith(place: Place, plugin: DefinedPlugin<never, never> = strict as never): Promise<TestHost> {
  const host = await startHost(ingress);
  onTestFinished(() => host[Symbol.asyncDispose]());
  if (place === "in the host's process") await host.platform.addPlugin({ module: plugin });
  else if (place === "in a worker thread") await host.platform.addPlugin({ worker: workerModule("strict") });
  else {
    const reached = place === "behind a link" ? ({ listen: "never" } as const) : ({ link: "off" } as const);
    const served = await servePlugin(plugin, { env: {}, hostUrl: host.url, ...reached });
    onTestFinished(() => served.stop({ graceMs: 0 }));
  }
  return host;
}

async function* texts(...given: string[]): AsyncGenerator<{ text: string }> {
  for (const text of given) yield { text };
}

/** What came, and with which code it ended. */
async function read(answers: AsyncIterable<{ text: string }>, onAnswer = () => {}): Promise<unknown[]> {
  const seen: unknown[] = [];
  try {
    for await (const { text } of answers) {
      seen.push(text);
      onAnswer();
    }
  } catch (error) {
    seen.push(Code[(error as { code: Code }).code]);
  }
  return seen;
}

// With two bytes of the field in front, the whole is 100 bytes.
const largest = "a".repeat(98);
const tooLarge = `${largest}a`;
const exhausted = { code: Code.ResourceExhausted };

describe.each(places)("a plugin with limits %s", (place) => {
  test.each(ways)("reads no message that is too large of who calls %s", async (way) => {
    const host = await hostWith(place);
    await using caller = await startCaller(way, host, { echo: { service: Echo } });
    const client = caller.context.client("echo" as never) as Client<typeof Echo>;
    const counted = async () => Number.parseInt((await client.say({ text: "count" })).provider, 10);
    const before = await counted();
    expect(await client.say({ text: largest })).toMatchObject({ text: largest });
    await expect(client.say({ text: tooLarge })).rejects.toMatchObject({
      ...exhausted,
      rawMessage: expect.stringContaining("larger than configured readMaxBytes 100"),
    });
    // The implementation has seen one, and this question.
    expect(await counted()).toBe(before + 2);
    expect(await client.clientStream(texts(largest, largest))).toMatchObject({ text: largest, count: 2 });
    await expect(client.clientStream(texts("a", tooLarge))).rejects.toMatchObject(exhausted);
    expect(await read(client.serverStream({ text: tooLarge, count: 1 }))).toEqual(["ResourceExhausted"]);
    // Only when the first is answered: what is behind an error overtakes what is in front of it in Connect's own handlers.
    const answered = deferred();
    const slowly = async function* () {
      yield { text: "a" };
      await answered.promise;
      yield* texts(tooLarge, "b");
    };
    expect(await read(client.bidiStream(slowly()), answered.resolve)).toEqual(["a", "ResourceExhausted"]);
  });

  test.each(ways)("sends no message that is too large to who calls %s", async (way) => {
    const host = await hostWith(place);
    await using caller = await startCaller(way, host, { echo: { service: Echo } });
    const client = caller.context.client("echo" as never) as Client<typeof Echo>;
    const endedStreams = async () => Number((await client.say({ text: "count" })).provider.split("/")[1]);
    const before = await endedStreams();
    // With three bytes of the field in front, the first is exactly as large as it may be.
    const answered = await client.clientStream(texts("grow 195"));
    expect(answered).toMatchObject({ text: "x".repeat(195), count: 1 });
    await expect(client.clientStream(texts("grow 196"))).rejects.toMatchObject({
      ...exhausted,
      rawMessage: expect.stringContaining("larger than configured writeMaxBytes 200"),
    });
    await expect(client.say({ text: "grow 198" })).rejects.toMatchObject(exhausted);
    expect(await read(client.serverStream({ text: "grow 300", count: 3 }))).toEqual(["short", "ResourceExhausted"]);
    expect(await endedStreams()).toBe(before + 1);
    expect(await read(client.bidiStream(texts("grow 197", "grow 198")))).toEqual([
      "x".repeat(197),
      "ResourceExhausted",
    ]);
  });

  test("reads and writes JSON as it says, and compresses as it says", async () => {
    const host = await hostWith(place);
    const post = (body: string): Promise<Response> =>
      fetch(`${host.url}/echo.v1.Echo/Say`, {
        method: "POST",
        headers: { "content-type": "application/json", "accept-encoding": "gzip" },
        body,
      });
    const plain = await post("{}");
    expect(await plain.json()).toEqual({ text: "", provider: "" });
    expect(plain.headers.get("content-encoding")).toBe("gzip");
    const unknown = await post('{"text":"a","more":1}');
    expect([unknown.status, await unknown.json()]).toMatchObject([400, { code: "invalid_argument" }]);
    // In JSON the name takes more room than in the binary form.
    expect((await post(JSON.stringify({ text: "a".repeat(90) }))).status).toBe(429);
  });

  test("reads and writes JSON as it says for a plugin that calls over its link", async () => {
    const host = await hostWith(place);
    const identity = await host.handshake("caller");
    await using plugin = await linkPlugin(host.url, identity);
    const say = async (body: string) => {
      const fields = ["content-type", "application/json"];
      const {
        messages,
        end,
        fields: head,
      } = await plugin.call("/services/echo/any/Say", [body], { kind: callKind.unary, fields });
      return { code: end?.code, text: messages.join(""), type: fieldValue(head, "content-type") };
    };
    if (place === "behind a link" || place === "in a worker thread") {
      expect(await say("{}")).toEqual({ code: 0, text: '{"text":"","provider":""}', type: "application/json" });
      expect(await say('{"text":"a","more":1}')).toMatchObject({ code: Code.InvalidArgument });
      expect(await say(JSON.stringify({ text: "a".repeat(90) }))).toMatchObject(exhausted);
    } else {
      // What has no link is called in the binary form, whatever the call says.
      expect(await say("")).toMatchObject({ code: 0 });
    }
  });
});

test("a plugin that is given a registry reads and writes JSON with messages of any type in them", async () => {
  const file = create(FileDescriptorProtoSchema, {
    name: "keeper.proto",
    package: "keeper.v1",
    syntax: "proto3",
    dependency: ["google/protobuf/any.proto"],
    messageType: [
      {
        name: "Box",
        field: [
          {
            name: "content",
            jsonName: "content",
            number: 1,
            label: 1,
            type: FieldDescriptorProto_Type.MESSAGE,
            typeName: ".google.protobuf.Any",
          },
        ],
      },
    ],
    service: [
      { name: "Keeper", method: [{ name: "Keep", inputType: ".keeper.v1.Box", outputType: ".keeper.v1.Box" }] },
    ],
  });
  const descriptions = createFileRegistry(file, (name) =>
    name === "google/protobuf/any.proto" ? file_google_protobuf_any : undefined,
  );
  const service = descriptions.getService("keeper.v1.Keeper");
  if (service === undefined) throw new Error("the description has no service");
  const plugin = (server?: object) =>
    definePlugin({
      id: "keeper",
      version: "1.0.0",
      provides: { echo: { service } },
      ...server,
      setup: () => ({ echo: { keep: (box: object) => box } }) as never,
    });
  const box = { content: { "@type": "type.googleapis.com/google.protobuf.Duration", value: "1s" } };
  const answers: unknown[] = [];
  const registry = createRegistry(DurationSchema);
  for (const place of places.slice(0, 3)) {
    for (const server of [{ server: { jsonOptions: { registry } } }, {}]) {
      const host = await hostWith(place, plugin(server) as never);
      const answer = await fetch(`${host.url}/keeper.v1.Keeper/Keep`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(box),
      });
      answers.push([answer.status, answer.status === 200 ? await answer.json() : ""]);
    }
  }
  expect(answers).toEqual(
    Array(3)
      .fill([
        [200, box],
        [400, ""],
      ])
      .flat(),
  );
});
