import { expect, test } from "vitest";
import { type BaseUrlPolicy, baseUrlRefusal } from "../../../src/identity/base-url-policy.js";
import { parseBaseUrl } from "../../../src/model/base-url.js";

test.each<{ url: string; peer: string; policy?: BaseUrlPolicy; refused?: RegExp; why: string }>([
  { url: "http://127.0.0.1:4001", peer: "127.0.0.1", why: "both on this machine" },
  { url: "http://localhost:4001", peer: "::1", why: "all names of loopback are one" },
  { url: "http://[::1]:4001", peer: "127.0.0.1", why: "all names of loopback are one" },
  { url: "http://127.0.0.1:4001", peer: "", why: "a caller over a Unix socket is on this machine" },
  {
    url: "http://127.0.0.1:4001",
    peer: "10.0.0.7",
    refused: /another machine/,
    why: "the host's own services are not for others",
  },
  { url: "http://10.0.0.7:4001", peer: "10.0.0.7", why: "its own address" },
  { url: "http://[2001:db8::7]:4001", peer: "2001:db8::7", why: "its own address" },
  { url: "http://10.0.0.8:4001", peer: "10.0.0.7", refused: /10\.0\.0\.7/, why: "somebody else's address" },
  { url: "http://169.254.169.254", peer: "127.0.0.1", refused: /baseUrls/, why: "what only the host can reach" },
  { url: "http://127.example.org", peer: "127.0.0.1", refused: /loopback/, why: "a name that looks like loopback" },
  { url: "unix:/run/p.sock", peer: "127.0.0.1", why: "both on this machine" },
  { url: "unix:/var/run/docker.sock", peer: "10.0.0.7", refused: /another/, why: "a socket of this machine" },
  { url: "http://169.254.169.254", peer: "127.0.0.1", policy: "any", why: "the option allows it" },
  { url: "unix:/run/p.sock", peer: "10.0.0.7", policy: "any", why: "the option allows it" },
])("$url said from $peer under $policy: refused as $refused ($why)", ({ url, peer, policy, refused }) => {
  const refusal = baseUrlRefusal(policy ?? "peer-or-loopback", parseBaseUrl("base_url", url), peer);
  if (refused === undefined) expect(refusal).toBeUndefined();
  else expect(refusal).toMatch(refused);
});
