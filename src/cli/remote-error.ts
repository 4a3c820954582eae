import { Code, ConnectError } from "@connectrpc/connect";
import { CliError } from "./cli-error.js";
import { type ExitCode, exitCodes } from "./exit-codes.js";
import { addressText, type HostAddress, hostVariables } from "./host-address.js";
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
  const system = systemErrorOf(error);
  if (system?.code === "EACCES") {
    return new CliError(exitCodes.refused, `no access to ${where}: ${system.message}`, {
      hint: "an admin socket is for the user who runs the host",
    });
  }
  const distrust = certificateErrorOf(error);
  if (distrust !== undefined) {
    return new CliError(exitCodes.unreachable, `the certificate of ${where} is not accepted: ${distrust}`, {
      code,
      hint: `--ca or ${hostVariables.ca} names the file of a private authority`,
    });
  }
  if (system !== undefined) return unreachable(where, system.message, code);
  switch (error.code) {
    case Code.Unavailable:
    case Code.Aborted:
      return unreachable(where, error.rawMessage, code);
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
      return new CliError(exitCode, `what answers at ${where} does not answer as a host does: ${error.rawMessage}`, {
        code,
        hint: "check the address",
      });
    default:
      return new CliError(exitCode, error.rawMessage, { code, hint: hintFor(code.toUpperCase()) });
  }
}

const codeName = (code: Code): string => Code[code].replace(/(?<=[a-z])[A-Z]/g, "_$&").toLowerCase();

const unreachable = (where: string, reason: string, code: string): CliError =>
  new CliError(exitCodes.unreachable, `no host answers at ${where}: ${reason}`, {
    code,
    hint: "is it running? `connect-plugin-host serve` starts one and prints where it listens",
  });

/** What the system said of a connection, which says more than the words around it. */
function systemErrorOf({ cause }: ConnectError): { readonly code: string; readonly message: string } | undefined {
  const inner: unknown = cause instanceof AggregateError ? cause.errors[0] : cause;
  if (!(inner instanceof Error) || !("syscall" in inner) || !("code" in inner)) return undefined;
  return { code: String(inner.code), message: inner.message };
}

/** What is wrong with a host's certificate, if that is why it was not called. */
function certificateErrorOf({ cause }: ConnectError): string | undefined {
  if (!(cause instanceof Error) || !("code" in cause)) return undefined;
  return /^(CERT_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|ERR_TLS_CERT_)/.test(String(cause.code))
    ? cause.message
    : undefined;
}
