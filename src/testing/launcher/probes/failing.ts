import { probePlugin } from "../probe-plugin.js";

/** Its setup fails. */
export default probePlugin({
  onSetup() {
    throw new Error("there is no database");
  },
});
