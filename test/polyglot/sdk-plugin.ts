import { Code, ConnectError } from "@connectrpc/connect";
import { definePlugin } from "connect-plugin-host/plugin";
import { Echo } from "../support/gen/echo/v1/echo_pb.js";

const unimplemented = (): never => {
  throw new ConnectError("this plugin has Say only", Code.Unimplemented);
};

/** The plugin of our SDK in the chain: `a>b` is passed on to `a`, anything else is sent back. */
export const sdkPlugin = definePlugin({
  id: "sdk",
  version: "1.4.0",
  requires: {
    "go-echo": { service: Echo, minVersion: "1.0.0", required: false },
    "python-echo": { service: Echo, minVersion: "1.0.0", required: false },
  },
  provides: { "sdk-echo": { service: Echo } },
  setup: (plugin) => ({
    "sdk-echo": {
      async say({ text }, { requestHeader }) {
        if (requestHeader.has("authorization") || requestHeader.has("x-plugin-runtime-id")) {
          throw new ConnectError("sdk was shown the credentials of its caller", Code.Internal);
        }
        const [next, ...rest] = text.split(">");
        if (rest.length === 0) return { text, provider: "sdk" };
        if (next !== "go-echo" && next !== "python-echo") {
          throw new ConnectError(`sdk does not know ${next}`, Code.InvalidArgument);
        }
        const said = await plugin.client(next).say({ text: rest.join(">") });
        return { text: said.text, provider: `sdk>${said.provider}` };
      },
      serverStream: unimplemented,
      clientStream: unimplemented,
      bidiStream: unimplemented,
    },
  }),
});
