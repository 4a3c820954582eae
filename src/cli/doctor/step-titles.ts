/** Steps of a program that listens, whoever started it. */
const reachedSteps = {
  listens: "listens",
  answers: "answers",
  declaration: "declaration",
  dependencies: "dependencies",
  handshake: "handshake",
  identity: "identity",
  services: "services",
  health: "health",
  calls: "calls to host",
};

/** Steps of a program that the host starts, in the order in which they matter. */
export const programSteps = Object.freeze({
  machine: "this machine",
  folder: "working folder",
  command: "command",
  executable: "executable",
  architecture: "architecture",
  port: "port",
  starts: "starts",
  output: "output",
  stays: "stays alive",
  ...reachedSteps,
  shutdown: "shutdown",
  sigterm: "SIGTERM",
  leftovers: "leaves nothing",
});

/** Steps of a program that runs already. */
export const endpointSteps = Object.freeze({
  machine: "this machine",
  ...reachedSteps,
});

/** Steps of a plugin that runs in the host's process. */
export const moduleSteps = Object.freeze({
  machine: "this machine",
  module: "module",
  declaration: "declaration",
  dependencies: "dependencies",
  starts: "starts",
  services: "services",
  health: "health",
  shutdown: "shutdown",
});

/** Steps of a plugin that runs in a worker thread of the host's process. */
export const workerSteps = Object.freeze({
  machine: "this machine",
  starts: "starts",
  output: "output",
  declaration: "declaration",
  dependencies: "dependencies",
  services: "services",
  health: "health",
  shutdown: "shutdown",
});

/** What is looked at before the plugins of a configuration. */
export const configSteps = Object.freeze({ machine: "this machine", file: "file" });

/** What is looked at after them. */
export const togetherSteps = Object.freeze({ dependencies: "dependencies", order: "order", starts: "starts together" });

/** Any step, by its name for programs. */
export type Step =
  | keyof typeof programSteps
  | keyof typeof moduleSteps
  | keyof typeof configSteps
  | keyof typeof togetherSteps;

/** Steps in their order, with their names for people. */
export type StepTitles = Readonly<Partial<Record<Step, string>>>;
