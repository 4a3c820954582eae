import type { TestProject } from "vitest/node";
// @ts-expect-error a script in plain JavaScript
import { buildGoPlugins } from "./build.mjs";

declare module "vitest" {
  interface ProvidedContext {
    /** Folder with the compiled plugins, in Go and in Rust. */
    readonly goPlugins: string;
  }
}

/** Compiles the plugins in Go and Rust once for all test files. */
export default function setup(project: TestProject): void {
  project.provide("goPlugins", buildGoPlugins());
}
