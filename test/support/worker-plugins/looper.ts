import { definePlugin } from "connect-plugin-host/plugin";

/** Never gives way again once it is asked anything. */
export default definePlugin({
  id: "looper",
  version: "1.0.0",
  provides: { loop: { handler: "fetch" } },
  setup: () => ({
    loop: () => {
      for (;;);
    },
  }),
});
