import type { Operation } from "./operation.js";
import type { PluginStart } from "./plugin-start.js";

/**
 * Runs the steps of a start. If one fails, what was done is undone, and the failure says what is known of the program. Either way
 * what the program does afterwards it does by itself.
 */
export async function runStart(start: PluginStart, operation: Operation, steps: () => Promise<void>): Promise<void> {
  try {
    await steps();
  } catch (error) {
    start.close();
    await operation.rollback();
    throw start.explain(error);
  } finally {
    start.close();
  }
}
