import { describe, expect, test } from "vitest";
import { fieldValue } from "../../src/http/field-list.js";
import { callKind } from "../../src/link/frame.js";
import { okEnd } from "../../src/link/head-codec.js";
import { startHost, type TestHost } from "../support/host.js";
import { type LinkPluginOptions, linkPlugin } from "../support/link-plugin.js";
import { echoPlugin } from "../support/plugins.js";

const asked = "x-plugin-provider";
const avoid = "x-plugin-avoid";
const notSent = "x-plugin-not-sent";

/** Answers with its own claims in head and trailers, or with an error that has them. */
const claiming =
  (code: number): LinkPluginOptions["serve"] =>
  (stream) => {
    const fields = [asked, "somebody-else", notSent, "x", "x-own", "1"];
    const finish = (): void => {
      if (code === 0) stream.sendHead(fields);
      if (code === 0) stream.send(new TextEncoder().encode("hi"));
      stream.end({ ...okEnd, code, message: "no", trailers: fields });
    };
    return { onData: () => stream.consume(), onEnd: finish, onReset: () => {} };
  };

async function onLink(host: TestHost, selfId: string, options?: LinkPluginOptions) {
  const plugin = await linkPlugin(host.url, await host.handshake(selfId), options);
  await plugin.register("echo");
  await host.until(() => host.platform.plugin(plugin.identity.runtimeId).health === "healthy");
  return plugin;
}

describe.each([
  { kind: callKind.unary, name: "unary calls" },
  { kind: callKind.bidi, name: "streams" },
])("over a link, of $name", ({ kind }) => {
  const path = "/services/echo/any/Say";

  test("a plugin says whom it avoids, and is told who was asked", async () => {
    await using host = await startHost();
    await using one = await onLink(host, "one");
    await using two = await onLink(host, "two");
    await using caller = await linkPlugin(host.url, await host.handshake("caller"));
    for (const [near, far] of [
      [one, two],
      [two, one],
    ] as const) {
      const { runtimeId } = near.identity;
      const { fields, end } = await caller.call(path, ["hi"], { kind, fields: [avoid, runtimeId] });
      expect([end?.code, fieldValue(fields, asked)]).toEqual([0, far.identity.runtimeId]);
      expect(far.heads.every(({ fields }) => fieldValue(fields, avoid) === undefined)).toBe(true);
    }
    const both = `${one.identity.runtimeId},${two.identity.runtimeId}`;
    const { fields, end } = await caller.call(path, ["hi"], { kind, fields: [avoid, both] });
    expect(end).toMatchObject({ code: 14, message: expect.stringContaining("those that the caller avoids") });
    const trailers = end?.trailers ?? [];
    expect([notSent, "error-code", asked].map((name) => fieldValue(trailers, name))).toEqual([
      caller.identity.runtimeId,
      "PROVIDERS_AVOIDED",
      undefined,
    ]);
    expect(fieldValue(fields, asked)).toBeUndefined();
  });

  test.each([{ code: 0 }, { code: 13 }])(
    "what a provider on a link says itself is dropped, with the code $code",
    async ({ code }) => {
      await using host = await startHost();
      await using far = await onLink(host, "far", { serve: claiming(code) as never });
      await using caller = await linkPlugin(host.url, await host.handshake("caller"));
      for (const wants of [true, false]) {
        const { fields, end } = await caller.call(path, ["hi"], { kind, fields: wants ? [avoid, ""] : [] });
        expect(end?.code).toBe(code);
        expect(fieldValue(fields, asked)).toBe(wants ? far.identity.runtimeId : undefined);
        expect(fieldValue(fields, notSent)).toBeUndefined();
        expect(end?.trailers).toEqual(["x-own", "1"]);
      }
    },
  );

  test("a plugin is told of a provider that it reaches over HTTP, and of one that breaks the call off", async () => {
    await using host = await startHost();
    const { runtimeId } = await host.platform.addPlugin({ module: echoPlugin({ id: "module" }) });
    const serve = (stream: { reset(code: number, message: string): void }) => ({
      onData: () => stream.reset(5, "broken"),
      onEnd: () => stream.reset(5, "broken"),
      onReset: () => {},
    });
    await using far = await onLink(host, "far", { serve: serve as never });
    await using caller = await linkPlugin(host.url, await host.handshake("caller"));
    const round = await caller.call(path, [""], { kind, fields: [avoid, far.identity.runtimeId] });
    expect(fieldValue(round.fields, asked)).toBe(runtimeId);
    const failed = await caller.call(path, [""], { kind, fields: [avoid, runtimeId] });
    expect(failed.end?.code).not.toBe(0);
    expect(fieldValue(failed.end?.trailers ?? [], asked)).toBe(far.identity.runtimeId);
  });

  test("a list that is too long is refused", async () => {
    await using host = await startHost();
    await using caller = await linkPlugin(host.url, await host.handshake("caller"));
    const ids = Array.from({ length: 65 }, (_, index) => `id-${index}`).join();
    const { end } = await caller.call(path, ["hi"], { kind, fields: [avoid, ids] });
    expect(end).toMatchObject({ code: 3, message: "x-plugin-avoid may name 64 runtime ids at most" });
  });
});
