import type { TestProject } from "vitest/node";
// @ts-expect-error a script in plain JavaScript
import { buildGoPlugins } from "./build.mjs";

declare module "vitest" {
  interface ProvidedContext {
    /** Folder with the compiled Go plugins. */
    readonly goPlugins: string;
  }
}

/** Compiles the Go plugins once for all test files. */
export default function setup(project: TestProject): void {
  project.provide("goPlugins", buildGoPlugins());
}
