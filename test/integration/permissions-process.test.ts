import { expect, test } from "vitest";
import { probe, startPlatform } from "../support/process-plugins.js";

const declares = { selfId: "probe", provides: [{ type: "probe", version: "1.0.0", path: "/test.v1.Probe/" }] };

test("a program that registers before it can be asked runs on a strict host if it was declared", async () => {
  const platform = await startPlatform({ permissions: "strict" });
  const added = await platform.addPlugin({ ...probe(["--register"]), declares });
  expect(added.provides.map(({ type }) => type)).toEqual(["probe"]);
});

test("without that a strict host refuses its registration, and the failed start says what to do", async () => {
  const platform = await startPlatform({ permissions: "strict" });
  await expect(platform.addPlugin(probe(["--register"]))).rejects.toMatchObject({
    message: expect.stringMatching(/probe-\w+ has not said what it provides, and this host is strict; .* declares/),
  });
  expect(platform.plugins()).toEqual([]);
});

test("a program that was declared as something else cannot register what it is", async () => {
  const platform = await startPlatform();
  const other = { selfId: "probe", provides: [{ type: "other", version: "1.0.0" }] };
  await expect(platform.addPlugin({ ...probe(["--register"]), declares: other })).rejects.toMatchObject({
    message: expect.stringMatching(/does not declare that it provides "probe"/),
  });
});
