import { expect, test } from "vitest";
import { type CapabilityOffer, checkOffer } from "../../../src/capabilities/capability-offer.js";

const fetch = () => new Response("ok");
const routes = () => {};

test.each([
  { offer: { type: "mail", version: "1.0.0", fetch }, kind: "fetch" },
  { offer: { type: "mail", version: "1.0.0", routes }, kind: "routes" },
  { offer: { type: "mail", version: "1.0.0", serviceType: "smtp" }, kind: "service" },
])("an offer of the kind $kind is taken", ({ offer, kind }) => {
  expect(checkOffer("offer", offer as CapabilityOffer)).toMatchObject({ type: "mail", target: { kind } });
});

test.each([
  { offer: null, field: "offer", why: "no object" },
  { offer: { type: "1mail", version: "1.0.0", fetch }, field: "offer.type", why: "the limits of a name" },
  { offer: { type: "mail", version: "v1", fetch }, field: "offer.version", why: "no semantic version" },
  { offer: { type: "mail", version: "1.0.0" }, field: "offer", why: "nothing that answers" },
  { offer: { type: "mail", version: "1.0.0", fetch, routes }, field: "offer", why: "two that answer" },
  { offer: { type: "mail", version: "1.0.0", fetch: "x" }, field: "offer.fetch", why: "no function" },
  { offer: { type: "mail", version: "1.0.0", routes: {} }, field: "offer.routes", why: "no function" },
  { offer: { type: "mail", version: "1.0.0", serviceType: "a/b" }, field: "offer.serviceType", why: "no name" },
  { offer: { type: "mail", version: "1.0.0", fetch, authorize: 1 }, field: "offer.authorize", why: "no function" },
  { offer: { type: "mail", version: "1.0.0", fetch, autorize: () => {} }, field: "offer.autorize", why: "misspelt" },
])("an offer is refused that has a bad $field ($why)", ({ offer, field }) => {
  expect(() => checkOffer("offer", offer as never)).toThrow(
    expect.objectContaining({ code: "INVALID_ARGUMENT", field }),
  );
});
