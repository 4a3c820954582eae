import { Code, ConnectError } from "@connectrpc/connect";
import { CliError } from "./cli-error.js";
import { type ExitCode, exitCodes } from "./exit-codes.js";
import { addressText, type HostAddress } from "./host-address.js";
import { exitCodeFor, hintFor } from "./host-error-codes.js";

const exitCodeOfConnectCode: Readonly<Record<Code, ExitCode>> = {
  [Code.Canceled]: exitCodes.failed,
  [Code.Unknown]: exitCodes.failed,
  [Code.InvalidArgument]: exitCodes.usage,
  [Code.DeadlineExceeded]: exitCodes.timedOut,
  [Code.NotFound]: exitCodes.notFound,
  [Code.AlreadyExists]: exitCodes.precondition,
  [Code.PermissionDenied]: exitCodes.refused,
  [Code.ResourceExhausted]: exitCodes.precondition,
  [Code.FailedPrecondition]: exitCodes.precondition,
  [Code.Aborted]: exitCodes.precondition,
  [Code.OutOfRange]: exitCodes.precondition,
  [Code.Unimplemented]: exitCodes.unreachable,
  [Code.Internal]: exitCodes.failed,
  [Code.Unavailable]: exitCodes.unreachable,
  [Code.DataLoss]: exitCodes.failed,
  [Code.Unauthenticated]: exitCodes.refused,
};

/** What a failed call of the admin service means for the one who ran the command. */
export function remoteError(error: unknown, address: HostAddress): unknown {
  if (!(error instanceof ConnectError)) return error;
  const hostCode = error.metadata.get("error-code") ?? undefined;
  const step = error.metadata.get("error-step") ?? undefined;
  const code = codeName(error.code);
  const where = addressText(address);
  if (hostCode !== undefined) {
    const exitCode = exitCodeFor(hostCode) ?? exitCodeOfConnectCode[error.code];
    return new CliError(exitCode, error.rawMessage, { code, hostCode, step, hint: hintFor(hostCode) });
  }
  const exitCode = exitCodeOfConnectCode[error.code];
  switch (error.code) {
    case Code.Unavailable:
    case Code.Aborted:
      return new CliError(exitCodes.unreachable, `no host answers at ${where}: ${reasonOf(error)}`, {
        code,
        hint: "is it running? `connect-plugin-host serve` starts one and prints where it listens",
      });
    case Code.Unimplemented:
      return new CliError(exitCodes.unreachable, `there is no admin service at ${where}`, {
        code,
        hint: "start the host with --admin-token or --admin-socket, and check the address",
      });
    case Code.DeadlineExceeded:
      return new CliError(exitCode, `the host at ${where} did not answer in time`, { code });
    case Code.Unknown:
    case Code.Internal:
      // What speaks no Connect answers with a page, or not with HTTP at all.
      return new CliError(exitCode, `what answers at ${where} does not answer as a host does: ${reasonOf(error)}`, {
        code,
        hint: "check the address",
      });
    default:
      return new CliError(exitCode, error.rawMessage, { code, hint: hintFor(code.toUpperCase()) });
  }
}

const codeName = (code: Code): string => Code[code].replace(/(?<=[a-z])[A-Z]/g, "_$&").toLowerCase();

/** The system's own words say more than those around them. */
function reasonOf({ rawMessage, cause }: ConnectError): string {
  const inner = cause instanceof AggregateError ? cause.errors[0] : cause;
  const system = typeof inner === "object" && inner !== null && "code" in inner ? inner : undefined;
  return system !== undefined && "message" in system ? String(system.message) : rawMessage;
}
