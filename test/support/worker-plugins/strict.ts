import { definePlugin } from "connect-plugin-host/plugin";
import { Echo } from "../gen/echo/v1/echo_pb.js";

let said = 0;
let left = 0;

/** Takes and sends only short messages, and is exact about JSON. `grow` answers with as many letters as it is told. */
export default definePlugin({
  id: "strict",
  version: "1.0.0",
  provides: { echo: { service: Echo } },
  server: {
    readMaxBytes: 100,
    writeMaxBytes: 200,
    compressMinBytes: 1,
    jsonOptions: { alwaysEmitImplicit: true, ignoreUnknownFields: false },
  },
  setup: () => ({
    echo: {
      say: ({ text }) => {
        said += 1;
        return { text: grown(text), provider: text === "" ? "" : `${said}/${left}` };
      },
      async *serverStream({ text, count }) {
        try {
          for (let index = 0; index < count; index++) yield { text: index === 1 ? grown(text) : "short", index };
        } finally {
          left += 1;
        }
      },
      async clientStream(requests) {
        let count = 0;
        let last = "";
        for await (const { text } of requests) {
          count += 1;
          last = text;
        }
        return { text: grown(last), count };
      },
      async *bidiStream(requests) {
        for await (const { text } of requests) yield { text: grown(text) };
      },
    },
  }),
});

const grown = (text: string): string => (text.startsWith("grow ") ? "x".repeat(Number(text.slice(5))) : text);
