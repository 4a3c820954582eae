import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, expectTypeOf, test } from "vitest";
import { configJsonSchema, configSchema, type HostConfig } from "../../../../src/cli/config/config-schema.js";
import type { HttpServerLimits } from "../../../../src/http/server-limits.js";
import type { HealthOptions, PlatformOptions, PluginSpec, ServerTlsOptions } from "../../../../src/index.js";
import { resolveLimits } from "../../../../src/limit-options.js";
import type { RouterOptions } from "../../../../src/router/options.js";
import type { UpstreamTlsOptions } from "../../../../src/router/upstream-tls.js";

const fileText = (path: string) => readFileSync(fileURLToPath(new URL(`../../../../${path}`, import.meta.url)), "utf8");

test("the JSON schema for editors is that of the code", () => {
  const written = JSON.parse(fileText("docs/reference/configuration.schema.json"));
  expect(written, "write it again: node scripts/config-schema.mjs").toEqual(configJsonSchema());
});

test("the reference names every setting", () => {
  const reference = fileText("docs/reference/configuration.md");
  const settings = Object.keys(configSchema.shape).filter((name) => name !== "$schema");
  for (const name of settings) expect(reference).toContain(`\`${name}\``);
  for (const name of Object.keys(resolveLimits("limits"))) expect(reference).toContain(`\`${name}\``);
});

test("settings have the names and types of the library's options", () => {
  type Same = Omit<HostConfig, "$schema" | "listen" | "tls" | "adminSocket" | "selection" | "ingress" | "plugins">;
  expectTypeOf<Same>().toExtend<PlatformOptions>();
  expectTypeOf<keyof NonNullable<HostConfig["health"]>>().toEqualTypeOf<keyof HealthOptions>();
  expectTypeOf<keyof NonNullable<HostConfig["router"]>>().toEqualTypeOf<keyof RouterOptions>();
  // Certificates are names of files here.
  type RouterTls = NonNullable<NonNullable<HostConfig["router"]>["tls"]>;
  expectTypeOf<keyof RouterTls>().toEqualTypeOf<keyof UpstreamTlsOptions>();
  expectTypeOf<keyof NonNullable<HostConfig["tls"]>>().toEqualTypeOf<keyof ServerTlsOptions>();
  expectTypeOf<keyof NonNullable<HostConfig["server"]>>().toEqualTypeOf<keyof HttpServerLimits>();
  expectTypeOf<keyof NonNullable<HostConfig["limits"]>>().toEqualTypeOf<keyof NonNullable<PluginSpec["limits"]>>();
});
