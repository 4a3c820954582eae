import type { PluginAddress } from "./address.js";
import type { PluginOrigin } from "./catalog.js";
import type { PluginDeclaration } from "./declarations.js";

/** How a launched plugin ended by itself. */
export interface LaunchEnd {
  /** For people: the error's message, the exit code or the signal. */
  readonly reason: string;
  /** What operations that wait for the plugin fail with; a PluginHostError is passed on as it is. */
  readonly error: unknown;
}

/** Who a launched plugin is, once it has an identity. */
export interface LaunchPlugin {
  readonly runtimeId: string;
  readonly selfId: string;
}

/** A plugin that runs, whoever started it. */
export interface LaunchedPlugin {
  readonly origin: PluginOrigin;
  readonly address: PluginAddress;
  /** Resolves when the plugin has ended by itself. Never settles for an endpoint, which the host cannot see ending. */
  readonly ended: Promise<LaunchEnd>;
  /** Of a process: its id, which is also that of its process group. */
  readonly pid?: number;
  /** Of a process: the launch that its program names in front of its paths. */
  readonly launchId?: string;
  /** Of a process: by what its program may know the host. A secret. */
  readonly hostSecret?: string;
  /** Of a worker: what comes over the launch's link acts as this plugin from now on. Called once, before it is told who it is. */
  belongsTo?(plugin: LaunchPlugin): void;
  /**
   * Makes sure that nothing of the plugin is left, within `graceMs` and a little. Idempotent: every caller gets the same
   * promise. An endpoint that the host did not start is left running.
   *
   * `isLeaving`: the plugin has said that it is shutting down, so it is left alone for half of the time.
   */
  stop(graceMs: number, isLeaving?: boolean): Promise<void>;
}

/** One line of what a program writes. */
export interface OutputLine {
  readonly stream: "stdout" | "stderr";
  /** Without its end. */
  readonly line: string;
  /** Whether the line was longer than the host keeps. */
  readonly truncated: boolean;
}

/** A program that was started, and is not ready yet. */
export interface StartedProgram {
  readonly launchId: string;
  readonly pid: number;
  /** Where it has to listen. */
  readonly address: PluginAddress;
  /** The last lines that it wrote so far. */
  lastLines(): readonly string[];
}

/** What a launch gets from the host. */
export interface LaunchContext {
  /** Aborted when the host gives up; what was started until then must be gone when the launch rejects. */
  readonly signal: AbortSignal;
  /**
   * A program runs and may call the host from now on. Called again if another program takes its place, because it could
   * not have its port. Only launchers of processes call it.
   */
  onStart(program: StartedProgram): void;
  /**
   * Resolves when the program of this launch has a link to the host that is open. Never settles for one that dials none.
   * @default no program has a link
   */
  untilLinked?(launchId: string): Promise<void>;
  /** The program wrote a line. */
  onOutput(line: OutputLine): void;
}

/** One way to bring a plugin to life. One implementation for each kind of source. */
export interface PluginLauncher {
  readonly origin: PluginOrigin;
  /** Known before the launch for endpoints, so that two operations cannot take the same one. */
  readonly address: PluginAddress | undefined;
  /** What the source says of itself before it runs; modules do. */
  readonly declares: PluginDeclaration | undefined;
  launch(context: LaunchContext): Promise<LaunchedPlugin>;
}
