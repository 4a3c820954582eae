// Echoes, and says which version it is. `/stream` sends a line ten times a second until the caller has had enough lines.
import http from "node:http";

const { version } = JSON.parse(process.argv[2]);
const server = http.createServer((req, res) => {
  if (req.url.startsWith("/connectplugin.")) {
    res.statusCode = 404;
    return res.end();
  }
  if (!req.url.startsWith("/stream")) {
    res.setHeader("x-version", version);
    return req.pipe(res);
  }
  let lines = 0;
  const timer = setInterval(() => {
    lines += 1;
    res.write(`${version} ${lines}\n`);
    if (lines < 30) return;
    clearInterval(timer);
    res.end();
  }, 100);
  res.on("close", () => clearInterval(timer));
});
server.keepAliveTimeout = 60_000;
server.listen(0, "127.0.0.1", () => console.log(JSON.stringify({ port: server.address().port })));
process.once("SIGTERM", () => process.exit(0));
