import { clone, type Message, toBinary } from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel } from "@bufbuild/protobuf/wkt";
import { ConnectError, type Interceptor, type UnaryRequest } from "@connectrpc/connect";
import { invalid } from "../../errors.js";
import { checkObject } from "../../http/check-object.js";
import { type Clock, systemClock } from "../../internal/clock.js";
import { checkNumber } from "../../model/limits.js";
import { isGone } from "./fallback.js";

/** Options of {@link lastAnswers}. */
export interface LastAnswersOptions {
  /** How old an answer may be, in milliseconds. @default 300_000 */
  readonly maxAgeMs?: number;
  /** How many are kept; the one that was asked for longest ago goes first. @default 1_000 */
  readonly maxEntries?: number;
  /** Which calls' answers are kept. @default those of methods with the `idempotency_level` NO_SIDE_EFFECTS */
  readonly isKept?: (request: UnaryRequest) => boolean;
  /** Where time comes from. @default the system's */
  readonly clock?: Clock;
}

/** Field of the answer's header that says how old an answer from memory is, in milliseconds. */
const ageField = "x-plugin-answer-age-ms";

/**
 * Keeps the last answer to each unary request that changes nothing, and gives it again, with its age in the header
 * `x-plugin-answer-age-ms`, when nobody can be asked: `unavailable`, `deadline_exceeded`, or no provider at all. An answer
 * is kept for all who use this interceptor: do not use it where answers depend on who asks.
 *
 * @throws PluginHostError `INVALID_ARGUMENT` that names the option
 */
export function lastAnswers(options: LastAnswersOptions = {}): Interceptor {
  checkObject("lastAnswers", options, ["maxAgeMs", "maxEntries", "isKept", "clock"]);
  const { clock = systemClock, isKept = changesNothing } = options;
  const maxAgeMs = checkNumber("lastAnswers.maxAgeMs", options.maxAgeMs ?? 300_000, 1);
  const maxEntries = checkNumber("lastAnswers.maxEntries", options.maxEntries ?? 1_000, 1);
  if (!Number.isInteger(maxEntries))
    throw invalid("lastAnswers.maxEntries", `must be a whole number, got ${maxEntries}`);
  // In the order in which they were asked for.
  const kept = new Map<string, { readonly message: Message; readonly at: number }>();
  return (next) => async (request) => {
    if (request.stream || !isKept(request)) return next(request);
    const key = keyOf(request);
    const { output } = request.method;
    try {
      const response = await next(request);
      kept.delete(key);
      // A copy, because the caller may change what it gets.
      kept.set(key, { message: clone(output, response.message as Message), at: clock.monotonic() });
      if (kept.size > maxEntries) kept.delete(kept.keys().next().value as string);
      return response;
    } catch (error) {
      const last = kept.get(key);
      if (last === undefined || !isGone(ConnectError.from(error))) throw error;
      const ageMs = clock.monotonic() - last.at;
      if (ageMs > maxAgeMs) {
        kept.delete(key);
        throw error;
      }
      kept.delete(key);
      kept.set(key, last);
      const { method, service } = request;
      const header = new Headers({ [ageField]: String(Math.round(ageMs)) });
      return { stream: false, service, method, message: clone(output, last.message), header, trailer: new Headers() };
    }
  };
}

const changesNothing = ({ method }: UnaryRequest): boolean =>
  method.idempotency === MethodOptions_IdempotencyLevel.NO_SIDE_EFFECTS;

const keyOf = ({ service, method, message }: UnaryRequest): string =>
  `${service.typeName}/${method.name} ${Buffer.from(toBinary(method.input, message)).toString("base64")}`;
