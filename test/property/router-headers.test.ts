import fc from "fast-check";
import { expect, test } from "vitest";
import { fieldValue } from "../../src/http/field-list.js";
import { EnvelopeTracker } from "../../src/router/envelope-tracker.js";
import { requestFields } from "../../src/router/request-headers.js";
import { pluginCaller } from "../support/router-host.js";

const name = fc.oneof(
  fc.constantFrom(
    "authorization",
    "x-plugin-caller-id",
    "x_plugin_caller_id",
    "x-plugin_service",
    "x-forwarded-for",
    "forwarded",
    "connection",
    "te",
    "keep-alive",
    "via",
    "host",
    "cookie",
    "traceparent",
    "x-a",
    "x-b",
    "upgrade",
  ),
  fc.stringMatching(/^[a-z][a-z0-9_-]{0,8}$/),
);
const value = fc.oneof(
  fc.constantFrom("x-a", "x-a, x-plugin-caller-id", "trailers", "close", "via"),
  fc.stringMatching(/^[ -~]{0,12}$/),
);

test("whatever a plugin sends, a provider gets the host's word for who calls, and no credentials or connection fields", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(name, value), { maxLength: 12 }), (pairs) => {
      const fields = pairs.flat();
      const out = requestFields(
        {
          method: "GET",
          target: "/",
          authority: "h",
          httpVersion: "2",
          fields,
          header: (wanted) => fieldValue(fields, wanted),
          connection: { transport: "tcp", remoteAddress: "10.0.0.9", encrypted: true, principal: undefined },
        },
        {
          caller: pluginCaller,
          serviceType: "logger",
          protocol: "http",
          traceparent: "tp",
          traceContinued: false,
          elapsedMs: 0,
          trailersPossible: false,
        },
        { publicHost: "", trustedProxies: () => false, stripUserCredentials: false, viaName: "host" },
      );
      const claims = new Map<string, string[]>();
      for (let i = 0; i < out.length; i += 2) {
        const plain = (out[i] as string).replaceAll("_", "-");
        claims.set(plain, [...(claims.get(plain) ?? []), out[i + 1] as string]);
      }
      expect(claims.get("x-plugin-caller-id")).toEqual(["app-1"]);
      expect(claims.get("x-plugin-service")).toEqual(["logger"]);
      expect(claims.get("x-forwarded-for")).toEqual(["10.0.0.9"]);
      expect(claims.get("traceparent")).toEqual(["tp"]);
      for (const gone of ["authorization", "connection", "keep-alive", "upgrade", "host", "forwarded"]) {
        expect(out.filter((_, i) => i % 2 === 0)).not.toContain(gone);
      }
      expect(claims.get("via")?.[0]).toMatch(/2\.0 host$/);
    }),
    { numRuns: 1_000 },
  );
});

test("the envelope tracker is right at every byte, however a stream of messages is cut", () => {
  fc.assert(
    fc.property(
      fc.array(fc.nat({ max: 40 }), { maxLength: 8 }),
      fc.array(fc.integer({ min: 1, max: 17 }), { minLength: 1 }),
      (lengths, cuts) => {
        const ends = new Set([0]);
        let total = 0;
        const bytes = Buffer.concat(
          lengths.map((length) => {
            total += 5 + length;
            ends.add(total);
            const message = Buffer.alloc(5 + length, 0xff);
            message[0] = 0;
            message.writeUInt32BE(length, 1);
            return message;
          }),
        );
        const tracker = new EnvelopeTracker();
        for (let at = 0, i = 0; at < bytes.length; i++) {
          const next = Math.min(bytes.length, at + (cuts[i % cuts.length] as number));
          tracker.push(bytes.subarray(at, next));
          at = next;
          expect(tracker.mayEndHere).toBe(ends.has(at));
        }
      },
    ),
  );
});
