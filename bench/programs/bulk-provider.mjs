// Large bodies: `/down?bytes=` sends so many, `/up` reads to the end and says how many came, `/up?bytesPerSecond=` reads slowly.
// `hash=1` adds a SHA-256 of the body, for the checks.
import { createHash } from "node:crypto";
import http from "node:http";

const part = Buffer.alloc(1 << 20, "0123456789abcdef");

function send(res, bytes) {
  res.writeHead(200, { "content-type": "application/octet-stream", "content-length": String(bytes) });
  let left = bytes;
  const more = () => {
    while (left > 0 && !res.destroyed) {
      const next = left >= part.length ? part : part.subarray(0, left);
      left -= next.length;
      if (!res.write(next)) return;
    }
    if (left === 0) res.end();
  };
  res.on("drain", more);
  more();
}

function receive(req, res, query) {
  const bytesPerSecond = Number(query.get("bytesPerSecond") ?? 0);
  const hash = query.has("hash") ? createHash("sha256") : undefined;
  const begin = performance.now();
  let bytes = 0;
  req.on("error", () => {});
  req.on("data", (chunk) => {
    bytes += chunk.length;
    hash?.update(chunk);
    if (bytesPerSecond === 0) return;
    const aheadMs = (bytes / bytesPerSecond) * 1_000 - (performance.now() - begin);
    if (aheadMs <= 1) return;
    req.pause();
    setTimeout(() => req.resume(), aheadMs);
  });
  req.on("end", () => res.end(`${bytes} ${hash?.digest("hex") ?? ""}`));
}

const server = http.createServer({ highWaterMark: 1 << 18 }, (req, res) => {
  const { pathname, searchParams } = new URL(req.url, "http://provider");
  if (pathname === "/down") send(res, Number(searchParams.get("bytes")));
  else if (pathname === "/up") receive(req, res, searchParams);
  else {
    res.statusCode = 404;
    res.end();
  }
});
server.listen(0, "127.0.0.1", () => console.log(JSON.stringify({ port: server.address().port })));
process.once("SIGTERM", () => process.exit(0));
