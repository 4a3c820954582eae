import { probePlugin } from "../probe-plugin.js";

/** Says, when it stops, that it is ill. */
export default probePlugin({
  async onStop({ plugin, reach }) {
    plugin.reportHealth("unhealthy", "said by one that stops");
    await reach("stop");
  },
});
