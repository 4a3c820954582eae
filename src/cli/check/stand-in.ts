import minVersion from "semver/ranges/min-version.js";
import type { Platform } from "../../index.js";
import { definePlugin } from "../../plugin/index.js";
import { parseServiceReference } from "../service-reference.js";

/** A service that the plugin needs. */
export interface Needed {
  readonly type: string;
  /** Range or minimum; empty for any. */
  readonly version: string;
}

/** Reads `type@version`. @throws CliError `usage` */
export const toNeeded = (text: string): Needed => {
  const { type, version } = parseServiceReference(text);
  return { type, version };
};

/** Adds providers that answer every call with an empty message, so that a plugin finds what it cannot start without. */
export async function addStandIns(platform: Platform, needed: readonly Needed[]): Promise<void> {
  const types = new Map(needed.map((need) => [need.type, need.version]));
  for (const [type, range] of types) {
    const module = definePlugin({
      id: `stand-in-${type}`,
      version: lowest(range),
      provides: { [type]: { handler: "fetch" } },
      setup: () => ({ [type]: empty }),
    });
    await platform.addPlugin({ module });
  }
}

function lowest(range: string): string {
  try {
    return (range === "" ? undefined : minVersion(range)?.version) ?? "1.0.0";
  } catch {
    return "1.0.0";
  }
}

/** The empty message, in the encoding of the call. */
function empty(request: Request): Response {
  const type = request.headers.get("content-type") ?? "";
  if (type.startsWith("application/json")) return Response.json({});
  if (type === "application/proto") return new Response(null, { headers: { "content-type": type } });
  return Response.json({ code: "unimplemented", message: "a stand-in answers unary Connect calls" }, { status: 501 });
}
