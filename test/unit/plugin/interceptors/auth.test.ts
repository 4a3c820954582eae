import { Code, createContextKey } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { deferred } from "../../../../src/internal/deferred.js";
import {
  bearerToken,
  type PeerIdentity,
  peerIdentity,
  requireBearer,
  requireCertificate,
  type TokenSource,
} from "../../../../src/plugin/interceptors/index.js";
import { callThrough, failure, failureOf, textOf, unaryRequest } from "../../../support/intercepted.js";

describe("a token of the caller", () => {
  const sent = async (...given: Parameters<typeof bearerToken>): Promise<string> =>
    textOf(
      await callThrough(bearerToken(...given), ({ header }) => header.get(given[1]?.header ?? "authorization") ?? ""),
    );

  test("stands in the field, from a text or a function", async () => {
    expect(await sent("abc")).toBe("Bearer abc");
    expect(await sent(async () => "def")).toBe("Bearer def");
    expect(await sent("abc", { header: "x-app-authorization" })).toBe("Bearer abc");
  });

  test("is asked for again when it is refused, once, and once for all calls that were refused together", async () => {
    const asked: boolean[] = [];
    const both = deferred();
    const source: TokenSource = ({ refresh }) => {
      asked.push(refresh);
      return refresh ? "new" : "old";
    };
    const interceptor = bearerToken(source);
    let refused = 0;
    const call = () =>
      callThrough(interceptor, async ({ header }) => {
        if (header.get("authorization") === "Bearer new") return "in";
        refused += 1;
        if (refused === 2) both.resolve();
        await both.promise;
        throw failure(Code.Unauthenticated);
      });
    expect((await Promise.all([call(), call()])).map(textOf)).toEqual(["in", "in"]);
    expect(asked).toEqual([false, false, true]);
    // A source that has no memory of its own gives the old one still.
    expect(textOf(await call())).toBe("in");
    expect(asked).toEqual([false, false, true, false]);
  });

  test("that is refused though it is fresh is an error, as is a text that is refused", async () => {
    let count = 0;
    const refuse = () => {
      count += 1;
      throw failure(Code.Unauthenticated);
    };
    const source: TokenSource = ({ refresh }) => (refresh ? "b" : "a");
    expect((await failureOf(callThrough(bearerToken(source), refuse))).code).toBe(Code.Unauthenticated);
    expect(count).toBe(2);
    expect((await failureOf(callThrough(bearerToken("a"), refuse))).code).toBe(Code.Unauthenticated);
    expect(count).toBe(3);
  });

  test.each([{ token: "" }, { token: "a b" }, { token: "a\nb" }, { token: "ä" }])(
    "$token is none, and no error shows it",
    ({ token }) => {
      expect(() => bearerToken(token)).toThrow(expect.objectContaining({ code: "INVALID_ARGUMENT", field: "token" }));
      if (token !== "") expect(() => bearerToken(token)).not.toThrow(token);
    },
  );
});

describe("a server that wants tokens", () => {
  const user = createContextKey<string | undefined>(undefined);
  const tokens = new Map([["good", "ann"]]);

  test.each([
    { given: "Bearer good", who: "ann" },
    { given: "bearer good", who: "ann" },
    { given: "Bearer bad", who: undefined },
    { given: "Basic good", who: undefined },
    { given: undefined, who: undefined },
  ])("$given is $who", async ({ given, who }) => {
    for (const source of [tokens, async (token: string) => tokens.get(token)]) {
      const call = callThrough(
        requireBearer({ tokens: source, as: user }),
        ({ contextValues }) => contextValues.get(user) ?? "",
        { header: given === undefined ? {} : { authorization: given } },
      );
      if (who !== undefined) expect(textOf(await call)).toBe(who);
      else {
        const error = await failureOf(call);
        expect([error.code, error.metadata.get("www-authenticate")]).toEqual([Code.Unauthenticated, "Bearer"]);
        expect(error.message).not.toMatch(/good|bad/);
      }
    }
  });
});

describe("a server that wants certificates", () => {
  const peer: PeerIdentity = { names: ["DNS:host.example", "CN:host"], fingerprint: "ab".repeat(32) };

  async function ask(allow: Parameters<typeof requireCertificate>[0]["allow"], who: PeerIdentity | undefined) {
    const request = unaryRequest();
    request.contextValues.set(peerIdentity, who);
    try {
      await requireCertificate({ allow })(async () => {
        throw failure(Code.Aborted);
      })(request);
      return undefined;
    } catch (error) {
      return (error as ReturnType<typeof failure>).code;
    }
  }

  test.each([
    { allow: ["DNS:host.example"], who: peer, code: Code.Aborted, why: "a name" },
    { allow: ["CN:host"], who: peer, code: Code.Aborted, why: "the common name" },
    { allow: [`sha256:${"ab".repeat(32)}`], who: peer, code: Code.Aborted, why: "the certificate itself" },
    { allow: ["DNS:other", "CN:host.example"], who: peer, code: Code.PermissionDenied, why: "not on the list" },
    { allow: ["DNS:host.example"], who: undefined, code: Code.Unauthenticated, why: "no certificate" },
    { allow: () => false, who: peer, code: Code.PermissionDenied, why: "the function says no" },
    { allow: async () => true, who: peer, code: Code.Aborted, why: "the function says yes" },
  ])("$why", async ({ allow, who, code }) => {
    expect(await ask(allow, who)).toBe(code);
  });

  test.each([{ allow: [] }, { allow: ["host.example"] }, { allow: ["sha256:AB"] }])(
    "$allow is refused before any call",
    ({ allow }) => {
      expect(() => requireCertificate({ allow })).toThrow(expect.objectContaining({ code: "INVALID_ARGUMENT" }));
    },
  );
});

test.each([
  { make: () => bearerToken("abc", { name: "x" } as never), field: "bearerToken.name" },
  { make: () => requireBearer({ tokens: new Map(), field: "x" } as never), field: "requireBearer.field" },
  { make: () => requireCertificate({ allow: ["DNS:a"], names: [] } as never), field: "requireCertificate.names" },
  { make: () => requireBearer(undefined as never), field: "requireBearer" },
])("a misspelt option is refused by its name, $field", ({ make, field }) => {
  expect(make).toThrow(expect.objectContaining({ code: "INVALID_ARGUMENT", field }));
});
