// What a start is made of, up to one line on the standard output: `node` does nothing; `bare` loads what a host loads and
// makes one call with node:http; `host` also starts a host, adds a plugin that runs already, and calls it through the router.
import http from "node:http";

const { until, providerUrl } = JSON.parse(process.argv[2]);

const call = (url, headers = {}) =>
  new Promise((resolve, reject) => {
    const request = http.request(url, { method: "POST", headers }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (more) => (text += more));
      response.once("end", () => resolve(`${response.statusCode} ${text}`));
    });
    request.once("error", reject);
    request.end("hello");
  });

async function throughHost({ Platform }) {
  const platform = new Platform({ ingress: [{ prefix: "/echo", type: "echo", access: "open" }] });
  await platform.listen({ port: 0 });
  const declares = { selfId: "echo", provides: [{ type: "echo", version: "1.0.0", path: "/" }] };
  await platform.addPlugin({ endpoint: providerUrl, declares });
  return call(`${platform.url}/echo/say`);
}

let answer = "200 hello";
if (until !== "node") {
  const host = await import("../../dist/index.js");
  answer = await (until === "bare" ? call(`${providerUrl}/say`) : throughHost(host));
}
console.log(JSON.stringify({ answer }));
process.once("SIGTERM", () => process.exit(0));
setInterval(() => {}, 60_000);
