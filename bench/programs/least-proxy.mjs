// How far any proxy can get that has Node's own server in front of its callers: sockets towards the provider, one write each
// way, nothing checked, and wrong as soon as anything is unusual. Below /at-once it answers itself: that server alone.
import http from "node:http";
import net from "node:net";

const { providerPort, answer } = JSON.parse(process.argv[2]);
const free = [];

function dial() {
  const socket = net.connect({ port: providerPort, host: "127.0.0.1", noDelay: true }).setEncoding("latin1");
  return socket.once("close", () => {
    const index = free.indexOf(socket);
    if (index >= 0) free.splice(index, 1);
  });
}

function answerAtOnce(req, res) {
  req.resume().once("end", () => {
    res.writeHead(200, { "content-type": "application/json", "content-length": answer.length });
    res.end(answer, "latin1");
  });
}

function forward(req, res, body) {
  const socket = free.pop() ?? dial();
  let text = "";
  const read = (more) => {
    text += more;
    const headEnds = text.indexOf("\r\n\r\n");
    if (headEnds < 0) return;
    const bodyBegins = headEnds + 4;
    if (text.length < bodyBegins + Number(/\r\ncontent-length: (\d+)/i.exec(text)[1])) return;
    socket.off("data", read);
    free.push(socket);
    const fields = [];
    for (const line of text.slice(0, headEnds).split("\r\n").slice(1)) {
      const colon = line.indexOf(":");
      const name = line.slice(0, colon);
      if (name.toLowerCase() !== "connection") fields.push(name, line.slice(colon + 2));
    }
    res.writeHead(Number(text.slice(9, 12)), fields);
    res.end(text.slice(bodyBegins), "latin1");
  };
  socket.on("data", read);
  let head = `POST ${req.url.replace(/^\/services\/[^/]+\/[^/]+/, "")} HTTP/1.1\r\n`;
  for (let index = 0; index < req.rawHeaders.length; index += 2)
    head += `${req.rawHeaders[index]}: ${req.rawHeaders[index + 1]}\r\n`;
  socket.write(`${head}\r\n${body}`, "latin1");
}

const server = http.createServer((req, res) => {
  if (req.url === "/at-once") return answerAtOnce(req, res);
  let body = "";
  req.setEncoding("latin1").on("data", (more) => (body += more));
  req.once("end", () => forward(req, res, body));
});
server.listen(0, "127.0.0.1", () => console.log(JSON.stringify({ url: `http://127.0.0.1:${server.address().port}` })));
process.once("SIGTERM", () => process.exit(0));
