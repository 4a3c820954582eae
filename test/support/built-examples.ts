import { buildExamples } from "../../scripts/example-build.mjs";

let folder: string | undefined;

/** The folder of the build, the same for all of one test file even if the sources change meanwhile. */
export const builtExamples = (): string => {
  folder ??= buildExamples();
  return folder;
};
