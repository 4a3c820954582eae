import { definePlugin } from "connect-plugin-host/plugin";
import { Echo } from "../gen/echo/v1/echo_pb.js";

const kept: unknown[] = [];
const never = new Promise<never>(() => {});

/** What the probe does when `/probe/<name>` is called. */
const acts: Readonly<Record<string, (argument: string) => unknown>> = {
  look: () => ({ env: process.env, argv: process.argv.slice(2), execArgv: process.execArgv }),
  loop: () => {
    for (;;);
  },
  wait: () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0),
  heap: () => {
    for (;;) kept.push(new Array(10_000).fill({}));
  },
  buffers: (mib) => void kept.push(Buffer.alloc(Number(mib) * 1_048_576, 1)),
  exit: (code) => process.exit(Number(code)),
  throw: () =>
    void setTimeout(() => {
      throw new Error("thrown in a timer");
    }, 1),
  reject: () => void Promise.reject(new Error("rejected, and nobody looks")),
  print: (text) => {
    console.log(text);
    console.error(`${text}, again`);
  },
  never: () => never,
};

export default definePlugin({
  id: process.env.SELF_ID ?? "probe",
  version: "1.0.0",
  provides: { echo: { service: Echo }, probe: { handler: "fetch", path: "/probe/" } },
  setup(plugin) {
    if (process.env.FAIL === "setup") throw new Error("no luck");
    if (process.env.STAY !== undefined) setInterval(() => {}, 1_000);
    if (process.env.HANG !== undefined) plugin.onStop(() => never);
    plugin.onStop(() => console.log("stopped"));
    return {
      echo: {
        say: ({ text }) => ({ text, provider: plugin.runtimeId ?? "" }),
        clientStream: async () => ({}),
        async *bidiStream(requests) {
          for await (const { text } of requests) yield { text };
        },
        async *serverStream({ text, count }) {
          for (let index = 0; index < count; index++) {
            yield { text, index };
            await new Promise((resolve) => setTimeout(resolve, Number(process.env.STREAM_MS ?? 0)));
          }
        },
      },
      probe: async (request) => {
        const { pathname, searchParams } = new URL(request.url);
        const act = acts[pathname.slice("/probe/".length)];
        if (act === undefined) return new Response(null, { status: 404 });
        return Response.json((await act(searchParams.get("with") ?? "")) ?? {});
      },
    };
  },
});
