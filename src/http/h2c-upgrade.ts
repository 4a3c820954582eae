import type { IncomingMessage } from "node:http";

const upgradeFields = new Set(["upgrade", "http2-settings", "connection"]);

/**
 * Whether the request's wish for another protocol can be granted. HTTP/2 over cleartext by upgrade is obsolete (RFC 9113,
 * 3.1). A provider gets all others as a GET without a body, so that for any other request the wish is ignored, as RFC 9110
 * (7.8) allows. With a listener for upgrades node:http hands all of them over and serves none.
 */
export function canUpgrade(req: IncomingMessage): boolean {
  return req.method === "GET" && req.httpVersionMinor !== 0 && !hasBody(req) && !offersOnlyH2c(req);
}

/** Whether the request wishes for HTTP/2, if for anything, which is always ignored. */
export function offersOnlyH2c({ headers }: IncomingMessage): boolean {
  const offers = (headers.upgrade ?? "").split(",").map((offer) => offer.trim().toLowerCase());
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
