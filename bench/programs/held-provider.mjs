// Answers with one line and leaves each answer open. A request to the second port sends one more line on all of them;
// `/closed` there is answered when none is open any more.
import http from "node:http";
import http2 from "node:http2";

const { protocol } = JSON.parse(process.argv[2]);
const open = new Set();
let whenClosed = () => {};
const hold = (req, res) => {
  if (req.url.startsWith("/connectplugin.")) {
    res.statusCode = 404;
    return res.end();
  }
  res.writeHead(200, { "content-type": "text/plain" });
  res.write("open\n");
  open.add(res);
  res.on("error", () => {});
  res.on("close", () => {
    open.delete(res);
    if (open.size === 0) whenClosed();
  });
};
const server =
  protocol === "h2c"
    ? http2.createServer({ settings: { maxConcurrentStreams: 1_000 } }, hold)
    : http.createServer({ requestTimeout: 0 }, hold);
server.on("session", (session) => session.on("error", () => {}));
const control = http.createServer((req, res) => {
  if (req.url === "/closed") {
    whenClosed = () => res.end();
    if (open.size === 0) whenClosed();
    return;
  }
  for (const answer of open) answer.write("more\n");
  res.end(String(open.size));
});
const listening = (one) =>
  new Promise((resolve) => one.listen({ port: 0, host: "127.0.0.1", backlog: 4_096 }, resolve));
await Promise.all([listening(server), listening(control)]);
const controlUrl = `http://127.0.0.1:${control.address().port}`;
console.log(JSON.stringify({ port: server.address().port, controlUrl }));
process.once("SIGTERM", () => process.exit(0));
