import type { Interceptor } from "@connectrpc/connect";

/** What is done around every call without a look at its messages and headers. */
export interface CallGuard {
  /** Runs in front of the implementation. What it throws ends the call. */
  readonly before?: () => void;
  /** Turns what the implementation has thrown into what the caller is told. */
  readonly mapError?: (error: unknown) => unknown;
}

const guard: unique symbol = Symbol("guard");

/**
 * An interceptor that is only a guard. As that it works with every handler of Connect; a direct call knows it, and does
 * without the objects that interceptors get.
 */
export function guardInterceptor(given: CallGuard): Interceptor {
  const { before, mapError = (error) => error } = given;
  const interceptor: Interceptor = (next) => async (request) => {
    try {
      before?.();
      const response = await next(request);
      return response.stream ? { ...response, message: mapErrors(response.message, mapError) } : response;
    } catch (error) {
      throw mapError(error);
    }
  };
  return Object.assign(interceptor, { [guard]: given });
}

/** The guards, outermost first, if the interceptors are nothing else. */
export function guardsOf(interceptors: readonly Interceptor[]): readonly CallGuard[] | undefined {
  const guards: CallGuard[] = [];
  for (const interceptor of interceptors) {
    const found = (interceptor as Interceptor & { readonly [guard]?: CallGuard })[guard];
    if (found === undefined) return undefined;
    guards.push(found);
  }
  return guards;
}

async function* mapErrors<T>(messages: AsyncIterable<T>, mapError: (error: unknown) => unknown): AsyncGenerator<T> {
  try {
    yield* messages;
  } catch (error) {
    throw mapError(error);
  }
}
