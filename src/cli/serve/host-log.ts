import type { JsonObject } from "@bufbuild/protobuf";
import type { Platform, PlatformEvents } from "../../index.js";
import type { CliEnvironment } from "../environment.js";
import { clockText, eventLine } from "../event-text.js";
import { oneLine, styleFor } from "../text.js";

/** How a host's log looks. */
export interface HostLogOptions {
  /** One JSON object a line, in the form of the admin service's events. */
  readonly isJson: boolean;
  /** Every step and every call, too. */
  readonly isVerbose: boolean;
}

const always = ["plugin-added", "plugin-removed", "plugin-replaced", "supervision", "output", "warning"] as const;
const onlyVerbose = ["registered", "unregistered", "call"] as const;

/** Writes what happens in a host to stderr, one line for each event. */
export class HostLog {
  readonly #environment: CliEnvironment;
  readonly #isJson: boolean;
  readonly #isVerbose: boolean;

  constructor(environment: CliEnvironment, { isJson, isVerbose }: HostLogOptions) {
    this.#environment = environment;
    this.#isJson = isJson;
    this.#isVerbose = isVerbose;
  }

  /** Logs this host's events from now on. */
  follow(platform: Platform): void {
    const follow = (name: keyof PlatformEvents): unknown => platform.on(name, (details) => this.#event(name, details));
    for (const name of always) follow(name);
    if (this.#isVerbose) for (const name of onlyVerbose) follow(name);
    platform.on("health", (event) => {
      const { health, before } = event;
      // What follows after an end is told as supervision.
      const isOther = health.reason !== before.reason && health.cause !== "exit";
      const isNews = health.state !== before.state || isOther;
      if (isNews || this.#isVerbose) this.#event("health", event);
    });
    platform.on("step", (step) => {
      if (this.#isVerbose || step.state === "failed") this.#event("step", step);
    });
  }

  /** A line of the command's own. */
  say(message: string): void {
    if (this.#isJson) return this.#writeJson("note", { message });
    const { stderr, variables, now } = this.#environment;
    const { dim } = styleFor(stderr.isTerminal, variables);
    stderr.write(`${dim(clockText(now()))} ${oneLine(message)}\n`);
  }

  #event(name: string, event: object): void {
    const { stderr, variables, now } = this.#environment;
    const details = toDetails(event);
    if (this.#isJson) return this.#writeJson(name, details);
    stderr.write(eventLine({ name, at: now(), details }, styleFor(stderr.isTerminal, variables)));
  }

  #writeJson(name: string, details: JsonObject): void {
    const { stderr, now } = this.#environment;
    stderr.write(`${JSON.stringify({ name, time: new Date(now()).toISOString(), details })}\n`);
  }
}

/** What belongs to an event, as JSON can say it. */
function toDetails(event: object): JsonObject {
  return JSON.parse(
    JSON.stringify(event, (_name, part: unknown) => {
      if (part instanceof Error)
        return { message: part.message, ...("code" in part ? { code: String(part.code) } : {}) };
      return typeof part === "bigint" ? part.toString() : part;
    }),
  );
}
