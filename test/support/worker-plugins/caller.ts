import { Code, ConnectError } from "@connectrpc/connect";
import { type DefinedPlugin, definePlugin } from "connect-plugin-host/plugin";
import { Echo } from "../gen/echo/v1/echo_pb.js";

/** A dependency as the test writes it. */
interface Told {
  readonly type: string;
  readonly methods: readonly string[];
}

const optional = { service: Echo, required: false } as const;

/** Calls what it is asked to at `/call/<type>/<method>`, and answers with what came of it. */
const caller = definePlugin({
  id: "app",
  version: "1.0.0",
  requires: { kv: optional, log: optional },
  provides: { call: { handler: "fetch", path: "/call/" } },
  setup: (plugin) => ({
    call: async (request) => {
      const [, , type, method] = new URL(request.url).pathname.split("/");
      const client = plugin.client(type === "log" ? "log" : "kv");
      try {
        if (method === "Say")
          return Response.json({ code: "ok", message: (await client.say({ text: "hi" })).provider });
        for await (const _ of client.serverStream({ text: "hi", count: 1 }));
        return Response.json({ code: "ok", message: "" });
      } catch (error) {
        const { code, rawMessage, metadata } = ConnectError.from(error);
        return Response.json({ code: Code[code], message: rawMessage, errorCode: metadata.get("error-code") ?? "" });
      }
    },
  }),
});

const declared = (JSON.parse(process.env.DECLARES ?? "[]") as Told[]).map((told) => ({
  ...told,
  minVersion: "",
  required: false,
  watch: true,
}));
let isAsked = false;
const { constructor: Plugin } = caller as { constructor: unknown };
const understating = new (Plugin as new (definition: object) => DefinedPlugin)({
  ...caller.definition,
  get requires() {
    return isAsked ? declared : caller.definition.requires;
  },
});

/** Has clients for everything, and says when it is asked that it requires what is in DECLARES, as no honest plugin can. */
export default {
  startInWorker(environment: Parameters<DefinedPlugin["startInWorker"]>[0]) {
    const running = understating.startInWorker(environment);
    isAsked = true;
    return running;
  },
};
