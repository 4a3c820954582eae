// Answers every gRPC call with its own body, and says in a field who the caller is said to be.
import http2 from "node:http2";

const server = http2.createServer();
server.on("session", (session) => session.on("error", () => {}));
server.on("stream", (stream, headers) => {
  const chunks = [];
  stream.on("error", () => {});
  stream.on("data", (chunk) => chunks.push(chunk));
  stream.on("end", () => {
    const caller = headers["x-plugin-caller-id"] ?? "";
    stream.respond(
      { ":status": 200, "content-type": "application/grpc", "x-seen-caller": caller },
      { waitForTrailers: true },
    );
    stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
    stream.end(chunks.length === 1 ? chunks[0] : Buffer.concat(chunks));
  });
});
server.listen(0, "127.0.0.1", () => console.log(JSON.stringify({ port: server.address().port })));
process.once("SIGTERM", () => process.exit(0));
