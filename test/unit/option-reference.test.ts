import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { resolveServerLimits } from "../../src/http/server-limits.js";
import { resolveOptions } from "../../src/options.js";
import { resolveRouterOptions } from "../../src/router/options.js";

const text = readFileSync(new URL("../../docs/reference/options.md", import.meta.url), "utf8");
const written = new Map(
  [...text.matchAll(/^\| `([\w.]+)` \| (.+?) \| .+\. \|$/gm)].map(
    ([, name = "", value = ""]) => [name, value] as const,
  ),
);

const resolved = resolveOptions({});
const groups: Record<string, object> = {
  health: resolved.health,
  limits: resolved.limits,
  grants: resolved.grants,
  router: resolveRouterOptions(),
  server: resolveServerLimits(),
  supervision: { ...resolved.supervision.restart, random: resolved.supervision.random },
  link: { maxLinks: resolved.link?.maxLinks, ...resolved.link?.limits },
};
const real = new Map<string, unknown>([
  ...Object.entries(resolved),
  ...Object.entries(groups).flatMap(([group, options]) =>
    Object.entries(options).map(([name, value]): [string, unknown] => [`${group}.${name}`, value]),
  ),
]);

/** A default as the reference writes it; undefined where it is said in words. */
function shown(name: string, value: unknown): string | undefined {
  // Such as what was made of a list of addresses.
  if (typeof value === "function") return undefined;
  if (name === "router.tls" || name in groups || ["magicCookie", "authorize", "clock"].includes(name)) return undefined;
  if (value === undefined || (Array.isArray(value) && value.length === 0)) return "none";
  if (typeof value === "number" && Number.isFinite(value)) {
    return `\`${value.toLocaleString("en-US").replaceAll(",", "_")}\``;
  }
  return typeof value === "string" ? `\`"${value}"\`` : `\`${String(value)}\``;
}

test("the reference has every option, and no other", () => {
  expect([...written.keys()].sort()).toEqual([...real.keys()].sort());
});

test.each([...real])("the reference gives the default of %s", (name, value) => {
  const wanted = shown(name, value);
  if (wanted === undefined) expect(written.get(name)).toMatch(/^[A-Za-z]/);
  else expect(written.get(name)).toBe(wanted);
});
