import { probePlugin } from "../probe-plugin.js";

/** Its setup is not done until the conductor lets it pass. */
export default probePlugin({ onSetup: ({ reach }) => reach("setup") });
