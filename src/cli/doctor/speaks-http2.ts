import { connect } from "node:http2";
import { connect as connectSocket } from "node:net";

/** Whether HTTP/2 is spoken there without an upgrade. `url` is `http://…` or `unix:/…`. */
export function speaksHttp2(url: string, limitMs: number): Promise<boolean> {
  const path = url.startsWith("unix:") ? url.slice("unix:".length) : undefined;
  return new Promise((resolve) => {
    const session =
      path === undefined ? connect(url) : connect("http://plugin", { createConnection: () => connectSocket(path) });
    const end = (isSpoken: boolean): void => {
      clearTimeout(limit);
      session.destroy();
      resolve(isSpoken);
    };
    const limit = setTimeout(() => end(false), limitMs);
    session.once("error", () => end(false)).once("close", () => end(false));
    // The settings of a server are the first thing that it says.
    session.once("remoteSettings", () => end(true));
  });
}
