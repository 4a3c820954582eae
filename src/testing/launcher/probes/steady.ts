import { probePlugin } from "../probe-plugin.js";

/** Serves. */
export default probePlugin();
