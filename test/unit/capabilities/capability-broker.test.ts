import { describe, expect, test } from "vitest";
import { CapabilityBroker } from "../../../src/capabilities/capability-broker.js";
import { type CapabilityRequest, checkOffer } from "../../../src/capabilities/capability-offer.js";
import type { Principal } from "../../../src/model/principal.js";
import { manualClock } from "../../support/manual-clock.js";

type Plugin = Extract<Principal, { kind: "plugin" }>;
const app: Plugin = { kind: "plugin", runtimeId: "app-1", selfId: "app" };

function start() {
  const owners = new Map<string, Plugin>([[app.runtimeId, app]]);
  const broker = new CapabilityBroker<string>({
    clock: manualClock(),
    ttlMs: 1_000,
    maxPerOwner: 10,
    ownerOf: (runtimeId) => owners.get(runtimeId),
  });
  const offer = (type: string, version: string, authorize?: (request: CapabilityRequest) => string | undefined) =>
    broker.offer(
      checkOffer("offer", { type, version, fetch: () => new Response(), ...(authorize && { authorize }) }),
      `${type} ${version}`,
    );
  const request = (type: string, minVersion = "", caller: Principal = app, reason = "") =>
    broker.request({ caller, type, minVersion, reason });
  return { broker, owners, offer, request };
}

describe("a request", () => {
  test.each([
    { minVersion: "", version: "2.10.0", why: "the highest of all, compared as versions" },
    { minVersion: "1.0.0", version: "2.10.0", why: "a complete version is a minimum" },
    { minVersion: "^1.2", version: "1.9.0", why: "a range" },
    { minVersion: "~2.9", version: "2.9.0", why: "a range that leaves out the highest" },
  ])("for $minVersion gets $version ($why)", ({ minVersion, version }) => {
    const { broker, offer, request } = start();
    for (const offered of ["2.9.0", "1.9.0", "2.10.0", "1.1.0"]) offer("mail", offered);

    const grant = request("mail", minVersion);

    expect(grant).toMatchObject({ type: "mail", version });
    expect(broker.verify(grant.grantId, grant.token)).toMatchObject({ caller: app, served: `mail ${version}` });
  });

  test.each([
    { type: "print", minVersion: "", code: "CAPABILITY_NOT_FOUND" },
    { type: "mail", minVersion: "1.0.1", code: "CAPABILITY_VERSION_MISMATCH" },
    { type: "mail", minVersion: "^2", code: "CAPABILITY_VERSION_MISMATCH" },
    { type: "mail", minVersion: "new", code: "INVALID_ARGUMENT", field: "min_version" },
    { type: "", minVersion: "", code: "INVALID_ARGUMENT", field: "capability_type" },
    { type: "../mail", minVersion: "", code: "INVALID_ARGUMENT", field: "capability_type" },
  ])("for $type $minVersion is refused with $code", ({ type, minVersion, code, field }) => {
    const { offer, request } = start();
    offer("mail", "1.0.0");

    expect(() => request(type, minVersion)).toThrow(expect.objectContaining({ code, field }));
  });

  test("with a reason that is too long is refused", () => {
    const { offer, request } = start();
    offer("mail", "1.0.0");

    expect(() => request("mail", "", app, "ä".repeat(2_049))).toThrow(
      expect.objectContaining({ code: "INVALID_ARGUMENT", field: "reason" }),
    );
    expect(() => request("mail", "", app, "ä".repeat(2_048))).not.toThrow();
  });

  test("is decided on by the offer, which sees caller and reason", () => {
    const { offer, request } = start();
    const seen: CapabilityRequest[] = [];
    offer("mail", "1.0.0", (asked) => {
      seen.push(asked);
      return asked.reason === "" ? "say what for" : undefined;
    });

    expect(() => request("mail")).toThrow(expect.objectContaining({ code: "NOT_ALLOWED", message: "say what for" }));
    expect(request("mail", "", app, "letters")).toMatchObject({ type: "mail" });
    expect(seen).toEqual([
      { caller: app, reason: "" },
      { caller: app, reason: "letters" },
    ]);
  });

  test("is refused if the offer decides by something else than a text", () => {
    const { offer, request } = start();
    offer("mail", "1.0.0", (async () => undefined) as never);

    expect(() => request("mail")).toThrow(expect.objectContaining({ code: "NOT_ALLOWED" }));
  });
});

describe("a grant", () => {
  test("ends with its owner", () => {
    const { broker, owners, offer, request } = start();
    offer("mail", "1.0.0");
    const { grantId, token } = request("mail");

    owners.delete("app-1");

    expect(broker.verify(grantId, token)).toBeUndefined();
    owners.set("app-1", app);
    expect(broker.verify(grantId, token)).toBeUndefined();
  });

  test("goes on while its owner is known, whatever was said of its end", () => {
    const { broker, owners, offer, request } = start();
    offer("mail", "1.0.0");
    const { grantId, token } = request("mail");
    const merged: Plugin = { kind: "plugin", runtimeId: "app-2", selfId: "app" };
    owners.set("app-1", merged);

    broker.ownerEnded("app-1");

    expect(broker.verify(grantId, token)?.caller).toBe(merged);
    owners.delete("app-1");
    broker.ownerEnded("app-1");
    owners.set("app-1", app);
    expect(broker.verify(grantId, token)).toBeUndefined();
  });

  test("of a caller that is no plugin does not need an identity", () => {
    const { broker, offer, request } = start();
    offer("mail", "1.0.0");
    const { grantId, token } = request("mail", "", { kind: "anonymous" });

    expect(broker.verify(grantId, token)?.caller).toEqual({ kind: "anonymous" });
  });

  test("ends with its offer; grants for another version go on", () => {
    const { broker, offer, request } = start();
    const withdraw = offer("mail", "2.0.0");
    offer("mail", "1.0.0");
    const second = request("mail");
    const first = request("mail", "^1");

    withdraw();
    withdraw();

    expect(broker.verify(second.grantId, second.token)).toBeUndefined();
    expect(broker.verify(first.grantId, first.token)).toMatchObject({ served: "mail 1.0.0" });
    expect(broker.offered()).toEqual([{ type: "mail", version: "1.0.0" }]);
    expect(() => request("mail", "^2")).toThrow(expect.objectContaining({ code: "CAPABILITY_VERSION_MISMATCH" }));
  });
});

test("one version of a capability is offered once, and again after it was withdrawn", () => {
  const { offer } = start();
  const withdraw = offer("mail", "1.0.0");

  expect(() => offer("mail", "1.0.0")).toThrow(expect.objectContaining({ code: "INVALID_ARGUMENT", field: "version" }));
  withdraw();
  expect(() => offer("mail", "1.0.0")).not.toThrow();
});
