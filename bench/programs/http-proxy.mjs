// http-proxy-3 and nothing else: no token, no checks, one agent that keeps connections.
import http from "node:http";
import { createProxyServer } from "http-proxy-3";

const { providerPort } = JSON.parse(process.argv[2]);
const proxy = createProxyServer({
  target: `http://127.0.0.1:${providerPort}`,
  agent: new http.Agent({ keepAlive: true }),
});
proxy.on("error", (error) => console.error(error));
const server = http.createServer((req, res) => {
  req.url = req.url.slice(req.url.indexOf("/", "/services/echo/".length));
  proxy.web(req, res);
});
server.listen(0, "127.0.0.1", () => console.log(JSON.stringify({ url: `http://127.0.0.1:${server.address().port}` })));
process.once("SIGTERM", () => process.exit(0));
