import { invalid } from "../errors.js";
import type { Clock } from "../internal/clock.js";
import type { PluginAddress } from "../model/address.js";
import type { LaunchContext, LaunchEnd, LaunchedPlugin, PluginLauncher } from "../model/launch.js";
import type { LaunchNonces, LaunchPass } from "./launch-nonces.js";
import { resolveCommand } from "./process-command.js";
import { launchEnvironment } from "./process-environment.js";
import { exitError, noPortError } from "./process-errors.js";
import type { ProcessPorts } from "./process-ports.js";
import { exitText, ProcessProgram } from "./process-program.js";
import { untilListening } from "./process-readiness.js";
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
}

interface Attempt {
  readonly program: ProcessProgram;
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
 * `PLUGIN_EXITED` or `PORT_IN_USE`; nothing is left of it then.
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
  const { clock, nonces, ports, hostUrlFor, environment: host } = options;

  const start = async (file: string, context: LaunchContext): Promise<Attempt> => {
    const port = await ports.take();
    const pass = nonces.issue();
    const release = (): void => {
      pass.revoke();
      ports.release(port);
    };
    try {
      const address: PluginAddress = { kind: "http", url: `http://127.0.0.1:${port}`, protocols: undefined };
      const hostUrl = hostUrlFor(address);
      // A socket's path has no place for a prefix; the program is known by where it listens then.
      const hasPrefix = !hostUrl.startsWith("unix:");
      const environment = launchEnvironment({
        port,
        hostUrl: hasPrefix ? `${hostUrl}/_launch/${pass.nonce}` : hostUrl,
        hostCa: options.hostCa?.(),
        given: source.env,
        host,
      });
      const { args, cwd, onHostExit } = source;
      const spec = { file, args, cwd, environment, onHostExit, secret: hasPrefix ? pass.nonce : "" };
      const program = await ProcessProgram.start(spec, clock, (line) => context.onOutput(line));
      void program.exited.then(release);
      const { launchId } = pass;
      context.onStart({ launchId, pid: program.pid, address, lastLines: () => program.lastLines });
      return { program, port, address, pass, release };
    } catch (error) {
      release();
      throw error;
    }
  };

  /** Undefined if another process has the port. */
  const becomeReady = async (attempt: Attempt, signal: AbortSignal): Promise<LaunchedPlugin | undefined> => {
    const { program, port, pass } = attempt;
    const outcome = await untilListening({ program, port, secret: pass.nonce, clock, signal });
    if (outcome === "listening") return launched(attempt);
    if (outcome === "taken") return undefined;
    await program.read;
    if (!(await ports.isFree(port))) return undefined;
    throw exitError(source.command, program);
  };

  return {
    origin: "process",
    address: undefined,
    declares: undefined,
    launch: async (context) => {
      const path = source.env.PATH ?? host.PATH;
      const file = await resolveCommand(source.command, { cwd: source.cwd, path });
      const taken: number[] = [];
      while (taken.length < portTries) {
        context.signal.throwIfAborted();
        const attempt = await start(file, context);
        try {
          const plugin = await becomeReady(attempt, context.signal);
          if (plugin !== undefined) return plugin;
        } catch (error) {
          await attempt.program.stop(0);
          throw error;
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
      stop: (graceMs, isLeaving) => program.stop(graceMs, isLeaving),
    };
  }
}
