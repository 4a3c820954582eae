import { Code, ConnectError } from "@connectrpc/connect";
import { definePlugin, type ResilienceOptions } from "connect-plugin-host/plugin";
import { Echo } from "../gen/echo/v1/echo_pb.js";

/** What became of the calls since they were asked for the last time. */
export interface SteadyReport {
  readonly ok: number;
  /** Calls that failed, by the names of their codes. */
  readonly failures: Readonly<Record<string, number>>;
  /** Who has answered. */
  readonly providers: readonly string[];
}

const empty = () => ({ ok: 0, failures: {} as Record<string, number>, providers: new Set<string>() });

/** Calls `echo` four at a time as long as it runs, without a line that looks after failures, and says at `/steady/` how that goes. */
export const steadyCaller = (resilience?: ResilienceOptions) =>
  definePlugin({
    id: "steady",
    version: "1.0.0",
    requires: { echo: { service: Echo, ...(resilience && { resilience }) } },
    provides: { steady: { handler: "fetch", path: "/steady/" } },
    setup(plugin) {
      const echo = plugin.client("echo");
      let seen = empty();
      const call = async (): Promise<void> => {
        while (!plugin.signal.aborted) {
          try {
            seen.providers.add((await echo.say({ text: "hi" })).provider);
            seen.ok += 1;
          } catch (error) {
            const code = Code[ConnectError.from(error).code] ?? "";
            seen.failures[code] = (seen.failures[code] ?? 0) + 1;
          }
          await new Promise((resolve) => setTimeout(resolve, 2));
        }
      };
      for (let count = 0; count < 4; count++) void call();
      return {
        steady: () => {
          const report: SteadyReport = { ...seen, providers: [...seen.providers] };
          seen = empty();
          return Response.json(report);
        },
      };
    },
  });

/** With RESILIENCE calls that failed are made again, whatever they are. */
export default steadyCaller(
  process.env.RESILIENCE === undefined ? undefined : { retry: { isRepeatable: () => true, firstDelayMs: 20 } },
);
