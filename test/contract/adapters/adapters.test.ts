import { describe, test } from "vitest";
import { adapterContract } from "../../../src/testing/index.js";
import { directAdapter } from "./direct-adapter.js";
import { wireAdapter } from "./wire-adapter.js";

describe.each([
  ["the host's own wire", wireAdapter],
  ["no wire at all", directAdapter],
])("an adapter over %s", (_name, underTest) => {
  for (const { title, skip, run } of adapterContract(underTest)) test.skipIf(skip !== undefined)(title, run);
});
