import { invalid, PluginHostError } from "../errors.js";
import type { Clock } from "../internal/clock.js";
import type { PluginAddress } from "../model/address.js";
import type { LaunchContext, LaunchEnd, LaunchedPlugin, PluginLauncher } from "../model/launch.js";
import { InheritedFiles } from "./inherited-files.js";
import type { LaunchNonces, LaunchPass } from "./launch-nonces.js";
import type { LaunchState } from "./launch-state.js";
import { resolveCommand } from "./process-command.js";
import { launchEnvironment } from "./process-environment.js";
import { exitError, noPortError, notListeningError } from "./process-errors.js";
import { openPortsOf } from "./process-open-ports.js";
import type { ProcessPorts } from "./process-ports.js";
import { exitText, ProcessProgram, type RunningProgram } from "./process-program.js";
import { untilReachable } from "./process-readiness.js";
import { type ProcessSource, resolveProcessSource } from "./process-source.js";

// Ports that are tried for one launch. A second conflict in a row is rare already.
const portTries = 3;

/** What launchers of processes share. */
export interface ProcessLauncherOptions {
  readonly clock: Clock;
  readonly nonces: LaunchNonces;
  readonly ports: Pick<ProcessPorts, "take" | "release" | "isFree">;
  /** Base URL under which a plugin at this address reaches the host. Throws `HOST_URL_UNKNOWN`. */
  readonly hostUrlFor: (address: PluginAddress) => string;
  /** The host's own environment. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** PEM of the authority of the host's certificate; undefined if programs need none. */
  readonly hostCa?: () => string | undefined;
  /** What the host can do beyond the first protocol, now. @default programs are not told */
  readonly hostFeatures?: () => readonly string[];
  /** Open files of the host's that programs must not get. @default each launcher looks for itself */
  readonly inherited?: Pick<InheritedFiles, "numbers">;
  /** Where launches are written down. @default nowhere: nothing is known of the programs of an earlier host */
  readonly state?: Pick<LaunchState, "open" | "started" | "ended" | "takeUp"> | undefined;
}

// For the question under which URL a program on this machine reaches the host.
const onThisMachine: PluginAddress = { kind: "http", url: "http://127.0.0.1", protocols: undefined };

const addressOn = (port: number): PluginAddress => ({
  kind: "http",
  url: `http://127.0.0.1:${port}`,
  protocols: undefined,
});

interface Attempt {
  readonly program: RunningProgram;
  readonly port: number;
  readonly address: PluginAddress;
  readonly pass: LaunchPass;
  /** Gives back what the program had of the host. Idempotent. */
  readonly release: () => void;
}

/**
 * A plugin that runs as a process of its own, in a process group of its own, and listens on the port that it is given in
 * PORT. Ready for questions when something of its group listens there; what it prints is not looked at.
 *
 * The launch fails with `COMMAND_NOT_FOUND`, `COMMAND_NOT_EXECUTABLE`, `COMMAND_WRONG_ARCHITECTURE`, `HOST_URL_UNKNOWN`,
 * `PLUGIN_EXITED`, `PLUGIN_CRASHED`, `PLUGIN_NOT_LISTENING` or `PORT_IN_USE`; nothing is left of it then.
 *
 * @throws PluginHostError `INVALID_ARGUMENT` that names the field
 */
export function processLauncher(given: ProcessSource, options: ProcessLauncherOptions): PluginLauncher {
  if (process.platform === "win32") {
    throw invalid(
      "command",
      "needs process groups, which Windows does not have; start it yourself and add its endpoint",
    );
  }
  const source = resolveProcessSource(given);
  const { clock, nonces, ports, hostUrlFor, environment: host, state } = options;
  const { inherited = new InheritedFiles() } = options;

  const follow = (program: RunningProgram, pass: LaunchPass, port: number, context: LaunchContext): Attempt => {
    const release = (): void => {
      pass.revoke();
      ports.release(port);
      state?.ended(pass.launchId);
    };
    void program.exited.then(release);
    const address = addressOn(port);
    const { launchId } = pass;
    context.onStart({ launchId, pid: program.pid, address, lastLines: () => program.lastLines });
    return { program, port, address, pass, release };
  };

  const start = async (file: string, context: LaunchContext): Promise<Attempt> => {
    const port = await ports.take();
    const pass = nonces.issue();
    const release = (): void => {
      pass.revoke();
      ports.release(port);
    };
    try {
      const hostUrl = hostUrlFor(onThisMachine);
      // A socket's path has no place for a prefix; the program is known by where it listens then.
      const hasPrefix = !hostUrl.startsWith("unix:");
      const environment = launchEnvironment({
        port,
        hostUrl: hasPrefix ? `${hostUrl}/_launch/${pass.nonce}` : hostUrl,
        hostCa: options.hostCa?.(),
        // Without the prefix a link could not be told to be the launch's, so the program has to listen.
        hostFeatures: hasPrefix ? options.hostFeatures?.() : undefined,
        given: source.env,
        host,
      });
      const { args, cwd, onHostExit } = source;
      const secret = hasPrefix ? pass.nonce : "";
      const spec = { file, args, cwd, environment, onHostExit, secret, inherited: await inherited.numbers() };
      const program = await ProcessProgram.start(spec, clock, (line) => context.onOutput(line));
      try {
        state?.started({ pass, pid: program.pid, port, source, hostUrl, hasNonce: hasPrefix });
      } catch (error) {
        await program.stop(0);
        throw error;
      }
      return follow(program, pass, port, context);
    } catch (error) {
      release();
      throw error;
    }
  };

  /** Undefined if another process has the port. */
  const becomeReady = async (attempt: Attempt, context: LaunchContext): Promise<LaunchedPlugin | undefined> => {
    const { program, port, pass } = attempt;
    const { signal } = context;
    const linked = context.untilLinked?.(pass.launchId);
    const wait = { program, port, secret: pass.nonce, clock, signal, ...(linked && { linked }) };
    const outcome = await untilReachable(wait);
    if (outcome === "listening") return launched(attempt);
    if (outcome === "linked") {
      ports.release(port);
      return launched({ ...attempt, address: Object.freeze({ kind: "link", isOpen: true }) });
    }
    if (outcome === "taken") return undefined;
    await program.read;
    if (!(await ports.isFree(port))) return undefined;
    throw exitError(source.command, program);
  };

  /** Of a wait that ended because its time was over: where the program is now. */
  const whyNotReady = async (error: unknown, { program, port }: Attempt): Promise<unknown> => {
    if (!(error instanceof PluginHostError) || error.code !== "STEP_TIMEOUT") return error;
    const elsewhere = await openPortsOf(program.pid);
    return notListeningError(source.command, program, { port, elsewhere, cause: error });
  };

  /** A program that an earlier host was to keep; undefined if there is none that still runs. */
  const takeUp = async (context: LaunchContext): Promise<LaunchedPlugin | undefined> => {
    for (;;) {
      const kept = await state?.takeUp(source, hostUrlFor(onThisMachine));
      if (kept === undefined) return undefined;
      const attempt = follow(kept.program, kept.pass, kept.port, context);
      try {
        const plugin = await becomeReady(attempt, context);
        if (plugin !== undefined) return plugin;
      } catch (error) {
        if (attempt.program.exit === undefined) {
          const told = await whyNotReady(error, attempt);
          await attempt.program.stop(0);
          throw told;
        }
        // It ended just now, so it is started like any other.
      }
      await attempt.program.stop(0);
    }
  };

  return {
    origin: "process",
    address: undefined,
    declares: undefined,
    launch: async (context) => {
      await state?.open();
      const kept = await takeUp(context);
      if (kept !== undefined) return kept;
      const path = source.env.PATH ?? host.PATH;
      const file = await resolveCommand(source.command, { cwd: source.cwd, path });
      const taken: number[] = [];
      while (taken.length < portTries) {
        context.signal.throwIfAborted();
        const attempt = await start(file, context);
        try {
          const plugin = await becomeReady(attempt, context);
          if (plugin !== undefined) return plugin;
        } catch (error) {
          const told = await whyNotReady(error, attempt);
          await attempt.program.stop(0);
          throw told;
        }
        await attempt.program.stop(0);
        taken.push(attempt.port);
      }
      throw noPortError(source.command, taken);
    },
  };

  function launched({ program, address, pass }: Attempt): LaunchedPlugin {
    const ended = program.exited.then(async (exit): Promise<LaunchEnd> => {
      if (program.isStopping) return new Promise(() => {});
      await program.read;
      return { reason: `its process ${exitText(exit)}`, error: exitError(source.command, program) };
    });
    return {
      origin: "process",
      address,
      ended,
      pid: program.pid,
      launchId: pass.launchId,
      hostSecret: pass.hostSecret,
      stop: (graceMs, isLeaving) => program.stop(graceMs, isLeaving),
    };
  }
}
