import { expect, test } from "vitest";
import { readCredentials, takePrefix } from "../../../src/identity/credentials.js";
import { requestHead } from "../../support/request-head.js";

const rpc = "/connectplugin.v1.HandshakeService/Handshake";

test.each<{ sent: string; target: string; launch?: string; join?: string }>([
  { sent: rpc, target: rpc },
  { sent: `/_launch/n-1${rpc}`, target: rpc, launch: "n-1" },
  { sent: `/_join/t_1${rpc}?a=1`, target: `${rpc}?a=1`, join: "t_1" },
  { sent: `//_launch/n1${rpc}`, target: rpc, launch: "n1" },
  { sent: `/_join/t1/${rpc}`, target: rpc, join: "t1" },
  { sent: `/${rpc}`, target: rpc },
  { sent: "///healthz", target: "/healthz" },
  { sent: "/_launch/x", target: "/", launch: "x" },
  { sent: "/_join/x", target: "/", join: "x" },
  { sent: "/_join/x?a=/b", target: "/?a=/b", join: "x" },
  { sent: `/_launch/n1/_join/t1${rpc}`, target: `/_join/t1${rpc}`, launch: "n1" },
  { sent: "/_launch", target: "/_launch" },
  { sent: "/_launch/", target: "/_launch/" },
  { sent: "/_launch//x", target: "/_launch//x" },
  { sent: "/_join/a%2Fb/x", target: "/_join/a%2Fb/x" },
  { sent: `/_join/${"t".repeat(257)}/x`, target: `/_join/${"t".repeat(257)}/x` },
  { sent: "/_joiner/x/y", target: "/_joiner/x/y" },
  { sent: "/services/a/_join/t", target: "/services/a/_join/t" },
  { sent: "/", target: "/" },
  { sent: "//", target: "/" },
  { sent: "*", target: "*" },
  { sent: "", target: "" },
])("$sent is $target under launch $launch and join $join", ({ sent, target, launch, join }) => {
  expect(takePrefix(sent)).toEqual({ target, launchNonce: launch, joinToken: join });
});

test.each([
  { authorization: "Bearer abc", bearer: "abc" },
  { authorization: "bearer   abc  ", bearer: "abc" },
  { authorization: "Bearer", bearer: undefined },
  { authorization: "Bearer ", bearer: undefined },
  { authorization: "Bearer a b", bearer: undefined },
  { authorization: "Bearer a, Bearer b", bearer: undefined },
  { authorization: "Basic abc", bearer: undefined },
  { authorization: "abc", bearer: undefined },
])("the bearer token in '$authorization' is $bearer", ({ authorization, bearer }) => {
  const head = requestHead({ headers: { authorization, "x-plugin-runtime-id": "a-1" } });
  expect(readCredentials(head, takePrefix("/"))).toEqual({
    runtimeId: "a-1",
    bearer,
    launchNonce: undefined,
    joinToken: undefined,
  });
});

test("what stands in the prefix comes with the credentials", () => {
  expect(readCredentials(requestHead(), takePrefix("/_launch/n1/x"))).toMatchObject({ launchNonce: "n1" });
  expect(readCredentials(requestHead(), takePrefix("/_join/t1/x"))).toMatchObject({ joinToken: "t1" });
});
