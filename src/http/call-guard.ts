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

/** Runs what guards do in front of the implementation, up to the first that refuses. */
export function runBefore(
  guards: readonly CallGuard[],
): { readonly entered: number } | { readonly entered: number; readonly refusal: unknown } {
  let entered = 0;
  try {
    for (; entered < guards.length; entered++) guards[entered]?.before?.();
  } catch (refusal) {
    return { entered, refusal };
  }
  return { entered };
}

/** What the caller is told of an error, innermost guard first. Whoever refuses the call also maps its own error. */
export function mapError(guards: readonly CallGuard[], error: unknown, entered: number = guards.length): unknown {
  let told = error;
  for (let index = Math.min(entered, guards.length - 1); index >= 0; index--) {
    const map = guards[index]?.mapError;
    if (map !== undefined) told = map(told);
  }
  return told;
}

async function* mapErrors<T>(messages: AsyncIterable<T>, mapError: (error: unknown) => unknown): AsyncGenerator<T> {
  try {
    yield* messages;
  } catch (error) {
    throw mapError(error);
  }
}
