import { type ContractCase, contractCase } from "../contract-case.js";
import { AdapterBench } from "./adapter-bench.js";
import { type AdapterCaseName, adapterCases } from "./adapter-cases.js";
import type { AdapterUnderTest } from "./adapter-under-test.js";

/**
 * What every adapter has to keep, which is another registry's interface over the same platform. Cases are independent of each
 * other. For any test framework:
 * `for (const { title, skip, run } of adapterContract(mine)) test(title, { skip }, run);` with that of Node.
 */
export function adapterContract(underTest: AdapterUnderTest): readonly ContractCase<AdapterCaseName>[] {
  return Object.entries(adapterCases).map(([key, { feature, check }]) => {
    const name = key as AdapterCaseName;
    const lacks = feature === undefined ? undefined : underTest.lacks?.[feature];
    return contractCase(name, underTest.skip?.[name] ?? lacks, () => AdapterBench.run(underTest, check));
  });
}
