import { z } from "zod";

const ms = (min: number, why: string) => z.number().min(min).exactOptional().describe(`${why}, in milliseconds`);

/** How plugins that end are started again; `false` for not at all. */
const restartWith = (why: string) =>
  z
    .union([
      z.literal(false),
      z.strictObject({
        firstDelayMs: ms(0, "Back-off before the first start in a row; it doubles with each further one"),
        maxDelayMs: ms(0, "Longest back-off"),
        resetAfterMs: ms(1, "A run of this length was a good one: the next end is the first in a row again"),
        maxCrashes: z
          .int()
          .min(1)
          .max(1_000)
          .exactOptional()
          .describe("Ends and failed starts within the window that make a crash loop"),
        crashWindowMs: ms(1, "The window"),
      }),
    ])
    .describe(why);

/** `supervision`, for all plugins. */
export const supervisionSchema = restartWith(
  "How plugins that the host started are started again; false for not at all",
);

/** `restart` of one plugin. */
export const restartSchema = restartWith("How it is started again when it ends; false for not at all");

/** `importance` of one plugin. */
export const importanceSchema = z
  .enum(["required", "degrade", "optional"])
  .describe("What it means for the host when it does not run; required if left out");
