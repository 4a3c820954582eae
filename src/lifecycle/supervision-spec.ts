import type { Importance } from "../model/supervision.js";
import type { RestartPolicy } from "./crash-history.js";

/** What becomes of a plugin that ends. All of it is checked. */
export interface SupervisionSpec {
  /** Undefined if it is not to be started again. */
  readonly restart: RestartPolicy | undefined;
  readonly importance: Importance;
}
