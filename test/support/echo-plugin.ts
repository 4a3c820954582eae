import type { ServiceImpl } from "@connectrpc/connect";
import type { Echo } from "./gen/echo/v1/echo_pb.js";

/** Sends everything back, and says who it is. */
export const echoOnly = (provider: string): ServiceImpl<typeof Echo> => ({
  say: ({ text }) => ({ text, provider }),
  async *serverStream({ text, count }) {
    for (let index = 0; index < count; index++) yield { text, index };
  },
  async clientStream(requests) {
    const texts: string[] = [];
    for await (const { text } of requests) texts.push(text);
    return { text: texts.join(""), count: texts.length };
  },
  async *bidiStream(requests) {
    for await (const { text } of requests) yield { text };
  },
});
