import type { Interceptor, UnaryRequest } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { guardInterceptor, guardsOf } from "../../../src/http/call-guard.js";

const request = {} as UnaryRequest;
const next = (answer: unknown) => async () => answer as never;

test("a guard that does nothing passes answers and errors on", async () => {
  const interceptor = guardInterceptor({});
  const answer = { stream: false };
  expect(await interceptor(next(answer))(request)).toBe(answer);
  const error = new Error("as it is");
  await expect(interceptor(() => Promise.reject(error))(request)).rejects.toBe(error);
});

test("a guard refuses a call before it runs, and maps its own error", async () => {
  let ran = false;
  const interceptor = guardInterceptor({
    before: () => {
      throw new Error("no");
    },
    mapError: (error) => `mapped ${(error as Error).message}`,
  });
  const run = async () => {
    ran = true;
    return {} as never;
  };
  await expect(interceptor(run)(request)).rejects.toBe("mapped no");
  expect(ran).toBe(false);
});

test("a guard maps what a stream throws when it is read", async () => {
  const interceptor = guardInterceptor({ mapError: () => "mapped" });
  async function* messages() {
    yield 1;
    throw new Error("half-way");
  }
  const answer = (await interceptor(next({ stream: true, message: messages() }))(request)) as unknown as {
    message: AsyncGenerator<number>;
  };
  expect(await answer.message.next()).toEqual({ done: false, value: 1 });
  await expect(answer.message.next()).rejects.toBe("mapped");
});

test("guards are known as such only where there is nothing else", () => {
  const first = { before: () => {} };
  const other: Interceptor = (following) => following;
  expect(guardsOf([])).toEqual([]);
  expect(guardsOf([guardInterceptor(first), guardInterceptor({})])).toEqual([first, {}]);
  expect(guardsOf([guardInterceptor(first), other])).toBeUndefined();
});
