// A small plugin without any SDK that is broken in the way that its first argument names.
import { createServer } from "node:http";
import { createServer as createTcpServer } from "node:net";

const { PORT, HOSTNAME, HOST_URL, ID = "sample", NEEDS = "", TAKEN, SLOW_MS = "0" } = process.env;
const [fault = "none"] = process.argv.slice(2);

if (fault === "noisy") process.stdout.write(`${"noise ".repeat(18)}\n`.repeat(10_000));
if (fault === "panics") throw new Error("the table of contents is upside down");
if (fault === "slow") await new Promise((resolve) => setTimeout(resolve, Number(SLOW_MS)));
if (fault === "bad token") {
  const answer = await fetch(`${HOST_URL}/connectplugin.v1.ServiceRegistry/RegisterService`, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      "x-plugin-runtime-id": "sample-1",
      authorization: "Bearer made-up",
    },
    body: JSON.stringify({ serviceType: ID, version: "1.0.0" }),
  });
  console.error(`cannot register: ${answer.status}`);
  process.exit(1);
}

const requires = NEEDS === "" ? [] : [{ type: NEEDS, requiredForStartup: true }];
const procedures = {
  "PluginIdentity/GetPluginInfo": {
    selfId: ID,
    selfVersion: "1.0.0",
    provides: [{ type: ID, version: "1.0.0" }],
    requires,
  },
  "PluginIdentity/SetRuntimeIdentity": { acknowledged: true },
  "PluginControl/GetHealth": { state: fault === "unhealthy" ? "HEALTH_STATE_UNHEALTHY" : "HEALTH_STATE_HEALTHY" },
  "PluginControl/Shutdown": { acknowledged: true },
};

const server = createServer(async (request, response) => {
  const name = request.url.replace("/connectplugin.v1.", "");
  if (fault === "slow answers") await new Promise((resolve) => setTimeout(resolve, Number(SLOW_MS)));
  if (procedures[name] === undefined || fault === "wrong protocol") {
    response.writeHead(404, { "content-type": "text/html" }).end("<h1>not here</h1>");
    return;
  }
  const body = JSON.stringify(procedures[name]);
  response.writeHead(200, { "content-type": "application/json", connection: "close" }).end(body);
  if (name.endsWith("Shutdown") && fault !== "stays") server.close(() => process.exit(0));
});
if (fault === "stays") process.on("SIGTERM", () => console.log("no"));
const smtp = createTcpServer((socket) => socket.on("error", () => {}).end("220 ready\r\n"));
const hangsUp = createTcpServer((socket) => socket.destroy());
if (fault === "no HTTP") smtp.listen(Number(PORT), HOSTNAME);
else if (fault === "hangs up") hangsUp.listen(Number(PORT), HOSTNAME);
else if (fault === "open to all") server.listen(Number(PORT));
else server.listen(fault === "port taken" ? Number(TAKEN) : Number(PORT), HOSTNAME);
