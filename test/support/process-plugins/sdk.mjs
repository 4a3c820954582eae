// A plugin made with the SDK. LIBRARY is the URL of the SDK's entry point, OPTIONS what servePlugin gets as JSON.
const { LIBRARY, OPTIONS = "{}", SELF_ID = "sdk" } = process.env;
const { definePlugin, servePlugin } = await import(LIBRARY);

let url = "";
const plugin = definePlugin({
  id: SELF_ID,
  version: "1.0.0",
  provides: { [SELF_ID]: { handler: "fetch", path: "/test.v1.Probe/" } },
  setup: (context) => ({
    [SELF_ID]: async (request) =>
      Response.json({
        pid: process.pid,
        runtimeId: context.runtimeId,
        url,
        headers: Object.fromEntries(request.headers),
      }),
  }),
});
const onEvent = (event) => {
  if (event.kind === "listening") url = event.url;
  console.log(`event ${event.kind}`);
};
await servePlugin(plugin, { shutdownSignals: ["SIGTERM"], onEvent, ...JSON.parse(OPTIONS) });
