import { z } from "zod";

const mib = (what: string) => z.number().min(1).exactOptional().describe(`${what}, in MiB`);

/** Bounds of a worker thread's JavaScript. */
export const workerLimitsSchema = z
  .strictObject({
    maxOldGenerationSizeMb: mib("Heap for objects that live on"),
    maxYoungGenerationSizeMb: mib("Heap for objects that were just made"),
    codeRangeSizeMb: mib("Memory for generated code"),
    stackSizeMb: mib("Stack of the thread"),
  })
  .describe("Bounds of `worker`; none of them bounds Buffers");
