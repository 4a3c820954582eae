import type { Platform, PluginView } from "../../index.js";
import type { DoctorSection } from "./doctor-report.js";
import { listensEverywhere } from "./listening-place.js";
import { speaksHttp2 } from "./speaks-http2.js";
import { within } from "./within.js";

// Whoever ends right after it became healthy is seen in this time.
const watchedForMs = 300;
const http2LimitMs = 1_000;

/** Tells where the plugin listens, and which protocols it speaks there. `isOwn`: it should be reached from this machine only. */
export async function tellListening(
  section: DoctorSection,
  { endpointUrl: url, pid }: PluginView,
  isOwn: boolean,
): Promise<void> {
  if (url === undefined) {
    if (pid !== undefined) section.ok("listens", "on no port: it is reached over its link");
    return;
  }
  const isPlain = !url.startsWith("https:");
  const protocols = isPlain
    ? (await speaksHttp2(url, http2LimitMs))
      ? "HTTP/1.1 and HTTP/2"
      : "HTTP/1.1, no HTTP/2"
    : "TLS";
  const seen = `on ${url}; ${protocols}`;
  const port = isOwn && URL.canParse(url) ? Number(new URL(url).port) : 0;
  if (port !== 0 && (await listensEverywhere(port)) === true) {
    const hint = "Listen on the address in HOSTNAME: now everybody on the network can call it, past the host.";
    section.warn("listens", `on port ${port} of every interface, not only on 127.0.0.1; ${protocols}`, hint);
  } else section.ok("listens", seen);
}

/** Watches a plugin that has just become healthy for a moment. */
export async function tellStay(section: DoctorSection, platform: Platform, view: PluginView): Promise<void> {
  if (!section.knows("stays")) return;
  let off = (): void => {};
  const ended = new Promise<string>((resolve) => {
    off = platform.on("health", ({ runtimeId, health }) => {
      if (runtimeId === view.runtimeId && health.state === "unhealthy") resolve(health.reason);
    });
  });
  const how = await within(ended, watchedForMs);
  off();
  if (how === undefined) section.ok("stays", "it runs on");
  else
    section.put("stays", { status: "fail", seen: how, hint: "A plugin runs until it is stopped; see what it writes." });
}
