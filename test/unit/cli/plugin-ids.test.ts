import { expect, test } from "vitest";
import { resolvePluginId } from "../../../src/cli/plugin-ids.js";

const plugin = (runtimeId: string, selfId: string) => ({ runtimeId, selfId });
const plugins = [
  plugin("cache-1a2b", "cache"),
  plugin("cache-1a3c", "cache"),
  plugin("logger-77ff", "logger"),
  plugin("log-0000", "log"),
];

test.each([
  { text: "cache-1a2b", found: "cache-1a2b", why: "a runtime id" },
  { text: "cache-1a2", found: "cache-1a2b", why: "the beginning of one" },
  { text: "logger", found: "logger-77ff", why: "a self id" },
  { text: "log", found: "log-0000", why: "a self id, though others begin like it" },
  { text: "logg", found: "logger-77ff", why: "the beginning of one" },
])("$text is $found ($why)", ({ text, found }) => {
  expect(resolvePluginId(text, plugins)).toBe(found);
});

test.each([
  { text: "cache", exitCode: 2, message: /fits 2 plugins/, hint: "give one of cache-1a2b, cache-1a3c" },
  { text: "l", exitCode: 2, message: /fits 2 plugins/, hint: "give one of logger-77ff, log-0000" },
  { text: "queue", exitCode: 4, message: /no plugin is called "queue"/, hint: /^there is cache-1a2b, / },
  { text: "", exitCode: 4, message: /no plugin/, hint: /there is/ },
])("$text is refused with exit code $exitCode", ({ text, exitCode, message, hint }) => {
  const error = (() => {
    try {
      return resolvePluginId(text, plugins);
    } catch (thrown) {
      return thrown as Error;
    }
  })();
  expect(error).toMatchObject({ exitCode, message: expect.stringMatching(message) });
  expect((error as unknown as { details: { hint: string } }).details.hint).toMatch(hint);
});
