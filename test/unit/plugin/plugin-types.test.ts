import { createRegistry } from "@bufbuild/protobuf";
import type { Client } from "@connectrpc/connect";
import { expect, expectTypeOf, test } from "vitest";
import { definePlugin, type FetchHandler, type NodeHandler } from "../../../src/plugin/index.js";
import { echoOnly } from "../../support/echo-plugin.js";
import { Echo } from "../../support/gen/echo/v1/echo_pb.js";

// What is wrong here does not compile; nothing of it runs, so the definitions only have to be made.

test("clients have the type of the dependency's description", () => {
  definePlugin({
    id: "app",
    version: "1.0.0",
    requires: { echo: { service: Echo, minVersion: "1.0.0" }, pages: {} },
    setup(plugin) {
      const use = async () => {
        const client = plugin.client("echo");
        expectTypeOf(client).toEqualTypeOf<Client<typeof Echo>>();
        const { text } = await client.say({ text: "hi" });
        expectTypeOf(text).toEqualTypeOf<string>();
        // @ts-expect-error "ecko" is not declared in `requires`
        plugin.client("ecko");
        // @ts-expect-error "pages" has no description: only fetch reaches it
        plugin.client("pages");
        await plugin.fetch("pages", "/");
        // @ts-expect-error "other" is not declared in `requires`
        await plugin.fetch("other", "/");
        // @ts-expect-error the request has no field "txt"
        await client.say({ txt: "hi" });
        // @ts-expect-error there is no method "shout"
        await client.shout({ text: "hi" });
        // @ts-expect-error "other" is not declared in `requires`
        plugin.onDependency("other", () => {});
        plugin.onDependency("pages", ({ state }) => {
          expectTypeOf(state).toEqualTypeOf<"available" | "degraded" | "unavailable">();
        });
        plugin.reportHealth("degraded", "no echo", ["echo"]);
        // @ts-expect-error "dependency" is not one of the types
        plugin.reportHealth("degraded", "no echo", ["dependency"]);
        // @ts-expect-error "fine" is no state
        plugin.reportHealth("fine");
      };
      void use;
    },
  });
  expect.assertions(0);
});

test("implementations have the types that `provides` says", () => {
  definePlugin({
    id: "all",
    version: "1.0.0",
    provides: { echo: { service: Echo }, pages: { handler: "fetch" }, raw: { handler: "node", path: "/raw" } },
    setup: () => ({
      echo: {
        ...echoOnly("all"),
        say: async ({ text }) => {
          expectTypeOf(text).toEqualTypeOf<string>();
          return { text };
        },
      },
      pages: (request) => {
        expectTypeOf(request).toEqualTypeOf<Parameters<FetchHandler>[0]>();
        return new Response();
      },
      raw: (_, response) => {
        expectTypeOf(response).toEqualTypeOf<Parameters<NodeHandler>[1]>();
        response.end();
      },
    }),
  });
  const provides = { echo: { service: Echo } };
  const wrong = () => {
    // @ts-expect-error the implementation of echo is missing
    definePlugin({ id: "a", version: "1.0.0", provides, setup: () => ({}) });
    // @ts-expect-error three methods are missing
    definePlugin({ id: "a", version: "1.0.0", provides, setup: () => ({ echo: { say: () => ({}) } }) });
    definePlugin({
      id: "a",
      version: "1.0.0",
      provides,
      // @ts-expect-error the answer has no field "txt"
      setup: () => ({ echo: { ...echoOnly("a"), say: () => ({ txt: "" }) } }),
    });
    // @ts-expect-error setup is missing
    definePlugin({ id: "a", version: "1.0.0", provides: {}, ...({} as { setup?: () => void }) });
    // @ts-expect-error there is no handler of this kind
    definePlugin({ id: "a", version: "1.0.0", provides: { a: { handler: "fetch " } }, setup: () => ({ a: () => {} }) });
  };
  expect(wrong).toBeTypeOf("function");
});

test("options of the server are those that there are", () => {
  const base = { id: "a", version: "1.0.0", setup() {} };
  definePlugin({ ...base, server: { readMaxBytes: 1, writeMaxBytes: 2, compressMinBytes: 3 } });
  definePlugin({ ...base, server: { jsonOptions: { registry: createRegistry(), useProtoFieldName: true } } });
  const wrong = () => {
    // @ts-expect-error it is readMaxBytes
    definePlugin({ ...base, server: { readMaxSize: 1 } });
    // @ts-expect-error not a number
    definePlugin({ ...base, server: { writeMaxBytes: "1" } });
    // @ts-expect-error there is no such option of JSON
    definePlugin({ ...base, server: { jsonOptions: { emitDefaults: true } } });
  };
  expect(wrong).toBeTypeOf("function");
});
