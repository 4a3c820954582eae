import { once } from "node:events";
import net from "node:net";
import { expect, test } from "vitest";
import { linkPath, linkUpgradeToken } from "../../src/link/link-opening.js";
import { startHost } from "../support/host.js";
import { within } from "../support/http-server.js";
import { manualClock } from "../support/manual-clock.js";

const paths = [
  { path: "/nothing", status: 404, why: "nothing is served there" },
  { path: "/services/logger/any/Log", status: 401, why: "the router refuses it" },
  { path: linkPath, status: 401, why: "a link needs an identity" },
];

test.each(paths)(
  "an upgrade of $path is refused with $status ($why), and no caller can hold its connection open",
  async ({ path, status }) => {
    const clock = manualClock();
    await using host = await startHost({ clock });
    const { port } = new URL(host.url);
    const caller = net.connect({ port: Number(port), host: "127.0.0.1", allowHalfOpen: true });
    try {
      // What the host says to bytes that come after its end.
      caller.on("error", () => {});
      let answer = "";
      caller.on("data", (chunk) => {
        answer += chunk;
      });
      const upgrade = path === linkPath ? linkUpgradeToken : "websocket";
      caller.write(
        `GET ${path} HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\nconnection: upgrade\r\nupgrade: ${upgrade}\r\n\r\n`,
      );
      await within(2_000, "the answer", once(caller, "end"));
      expect(answer).toContain(`HTTP/1.1 ${status} `);
      // Not `once`, which would fail by the error.
      const closed = new Promise((resolve) => caller.once("close", resolve));
      clock.advance(2_000);
      // A connection that is gone is noticed by the one who goes on writing.
      const talk = (): void => void caller.write("and another thing", (error) => error ?? setImmediate(talk));
      talk();
      await within(2_000, "the end of the connection", closed);
    } finally {
      caller.destroy();
    }
  },
);
