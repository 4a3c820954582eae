import assert from "node:assert/strict";
import test from "node:test";
import { testPlugin } from "connect-plugin-host/testing";
import { loggerPlugin } from "./plugin.js";

test("entries are kept in their order, and an empty message is refused", async () => {
  await using plugin = await testPlugin(loggerPlugin);
  const logger = plugin.client("logger");
  assert.equal((await logger.log({ message: "one" })).acceptedCount, 1n);
  assert.equal((await logger.log({ level: "error", message: "two" })).acceptedCount, 2n);
  await assert.rejects(logger.log({ message: "" }), /message must not be empty/);
  const { entries } = await logger.listEntries({});
  assert.deepEqual(
    entries.map(({ level, message }) => `${level} ${message}`),
    ["info one", "error two"],
  );
  assert.equal((await logger.listEntries({ limit: 1 })).entries[0]?.message, "two");
});
