import { probePlugin } from "../probe-plugin.js";

/** Is unhealthy until the conductor lets it pass. */
export default probePlugin({
  onSetup({ plugin, reach }) {
    plugin.reportHealth("unhealthy", "it is warming up");
    const warmUp = async (): Promise<void> => {
      await reach("warm");
      plugin.reportHealth("healthy");
    };
    // A host that gives up meanwhile ends the call.
    warmUp().catch(() => {});
  },
});
