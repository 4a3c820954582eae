// Links in, one link out: calls are forwarded and nothing is checked.
import { forwardCall } from "../../dist/link/forward-call.js";
import { accept, dial, linkSession } from "../lib/link-load.mjs";

const { kind, providerPort } = JSON.parse(process.argv[2]);
const provider = await linkSession("dialler", await dial(kind, providerPort));
const onCall = (stream) => forwardCall(stream, provider, stream.head);
const port = await accept(kind, (transport) => linkSession("acceptor", transport, { onCall }).catch(() => {}));
console.log(JSON.stringify({ port }));
process.once("SIGTERM", () => process.exit(0));
