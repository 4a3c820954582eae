import type { IncomingMessage } from "node:http";

const upgradeFields = new Set(["upgrade", "http2-settings", "connection"]);

/**
 * Whether the request asks for HTTP/2 over cleartext by upgrade and nothing else. That way is obsolete (RFC 9113, 3.1)
 * and may be ignored, but with a listener for upgrades node:http hands all of them over and serves none.
 */
export function asksForH2c(req: IncomingMessage): boolean {
  const offers = (req.headers.upgrade ?? "").split(",").map((offer) => offer.trim().toLowerCase());
  return offers.every((offer) => offer === "h2c" || offer === "");
}

/** The request's head as it was sent, without the upgrade, to be parsed again as a normal request. */
export function headWithoutUpgrade(req: IncomingMessage): Buffer {
  const lines = [`${req.method} ${req.url} HTTP/${req.httpVersion}`];
  const { rawHeaders } = req;
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] as string;
    if (!upgradeFields.has(name.toLowerCase())) lines.push(`${name}: ${rawHeaders[index + 1]}`);
  }
  const kept = (req.headers.connection ?? "")
    .split(",")
    .map((token) => token.trim())
    .filter((token) => token !== "" && !upgradeFields.has(token.toLowerCase()));
  if (kept.length > 0) lines.push(`Connection: ${kept.join(", ")}`);
  return Buffer.from(`${lines.join("\r\n")}\r\n\r\n`, "latin1");
}

/** Whether bytes of a body follow the head. */
export const hasBody = ({ headers }: IncomingMessage): boolean =>
  headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0;
