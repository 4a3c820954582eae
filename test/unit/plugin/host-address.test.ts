import { expect, test } from "vitest";
import { parseHostUrl } from "../../../src/plugin/host-address.js";

test.each([
  { url: "http://127.0.0.1:8080", origin: "http://127.0.0.1:8080", prefix: "" },
  { url: "http://127.0.0.1:8080/", origin: "http://127.0.0.1:8080", prefix: "" },
  { url: "https://host/_join/t0ken//", origin: "https://host", prefix: "/_join/t0ken" },
  { url: "unix:/run/host.sock", origin: "http://localhost", prefix: "" },
])("$url is $origin with $prefix in front", ({ url, origin, prefix }) => {
  expect(parseHostUrl("hostUrl", url)).toMatchObject({ origin, prefix });
});

test.each(["", "localhost:8080", "ftp://host", "unix:relative", "http://host?x=1", "http://host#x"])(
  "%j is refused, without showing it",
  (url) => {
    const parse = () => parseHostUrl("HOST_URL", url);
    expect(parse).toThrow(expect.objectContaining({ code: "INVALID_ARGUMENT", field: "HOST_URL" }));
    if (url !== "") expect(parse).not.toThrow(new RegExp(url.replaceAll(/[?.]/g, "\\$&")));
  },
);
