// The least that a proxy on node:http can do: requests in, requests out on kept connections, nothing checked.
import http from "node:http";

const { providerPort } = JSON.parse(process.argv[2]);
const agent = new http.Agent({ keepAlive: true, maxFreeSockets: 1_024 });
const server = http.createServer((req, res) => {
  const { method, headers } = req;
  const path = req.url.replace(/^\/services\/[^/]+\/[^/]+/, "");
  const call = http.request({ host: "127.0.0.1", port: providerPort, method, path, headers, agent }, (answer) => {
    res.writeHead(answer.statusCode, answer.headers);
    answer.pipe(res);
  });
  call.on("error", () => res.destroy());
  req.pipe(call);
});
server.listen(0, "127.0.0.1", () => console.log(JSON.stringify({ url: `http://127.0.0.1:${server.address().port}` })));
process.once("SIGTERM", () => process.exit(0));
