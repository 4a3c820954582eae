import { probePlugin } from "../probe-plugin.js";

/** Never ends by itself. */
export default probePlugin({
  async onStop({ reach }) {
    await reach("stop");
    await new Promise(() => {});
  },
});
