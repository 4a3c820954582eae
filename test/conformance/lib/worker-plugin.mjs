// What a worker thread loads: the suite's service, with the limit that the environment tells.
import { conformancePlugin } from "./plugin.mjs";

export default conformancePlugin(Number(process.env.CONFORMANCE_RECEIVE_LIMIT));
