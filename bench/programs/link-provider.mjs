// The other end of a link: echoes, and swallows streams.
import { accept, echoOrSink, linkSession } from "../lib/link-load.mjs";

const { kind } = JSON.parse(process.argv[2]);
const port = await accept(kind, (transport) =>
  linkSession("acceptor", transport, { onCall: echoOrSink }).catch(() => {}),
);
console.log(JSON.stringify({ port }));
process.once("SIGTERM", () => process.exit(0));
