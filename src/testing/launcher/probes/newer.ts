import { probePlugin } from "../probe-plugin.js";

/** The next version of the one that serves. */
export default probePlugin({ version: "1.1.0" });
