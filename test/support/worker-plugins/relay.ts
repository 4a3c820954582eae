import { definePlugin } from "connect-plugin-host/plugin";
import { Echo } from "../gen/echo/v1/echo_pb.js";

/** Passes on what it is asked, to a plugin that provides `echo`, in calls of messages or over HTTP. */
export default definePlugin({
  id: "relay",
  version: "1.0.0",
  requires: { echo: { service: Echo } },
  provides: { relay: { service: Echo } },
  setup(plugin) {
    const echo = plugin.client("echo");
    return {
      relay: {
        say: ({ text }, { signal }) => echo.say({ text }, { signal }),
        serverStream: (request, { signal }) => echo.serverStream(request, { signal }),
        bidiStream: (requests, { signal }) => echo.bidiStream(requests, { signal }),
        async clientStream(requests) {
          const texts: string[] = [];
          for await (const { text } of requests) {
            const answer = await plugin.fetch("echo", "/Say", {
              method: "POST",
              headers: { "content-type": "application/json" },
              body: JSON.stringify({ text }),
            });
            texts.push(((await answer.json()) as { text: string }).text);
          }
          return { text: texts.join(","), count: texts.length };
        },
      },
    };
  },
});
