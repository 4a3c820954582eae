// Configurations of the proxies that the router is compared with. Each takes /services/echo/<id>/… and passes on /….
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cores } from "./processes.mjs";

const location = "location ~ ^/services/echo/[^/]+(/.*)$";

async function nginx(programs, core, port, server, upstreamPort) {
  const folder = mkdtempSync(join(tmpdir(), "bench-nginx-"));
  const file = join(folder, "nginx.conf");
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    .map((name) => `${name}_temp_path ${join(folder, name)};`)
    .join(" ");
  const upstream =
    upstreamPort === undefined
      ? ""
      : `upstream provider { server 127.0.0.1:${upstreamPort}; keepalive 64; keepalive_requests 100000000; }`;
  writeFileSync(
    file,
    `worker_processes 1; daemon off; pid ${join(folder, "pid")}; error_log ${join(folder, "error.log")};
events { worker_connections 1024; }
http { access_log off; keepalive_requests 100000000; ${temporary} ${upstream} ${server} }
`,
  );
  return programs.server(core, "nginx", ["-c", file, "-e", join(folder, "error.log")], port);
}

/** Answers POSTs from memory, and says in a field who the caller is said to be. */
export const nginxProvider = (programs, port, answer) =>
  nginx(
    programs,
    cores.load,
    port,
    `server { listen 127.0.0.1:${port}; location /connectplugin. { return 404; } location / { default_type application/json; add_header x-seen-caller $http_x_plugin_caller_id; return 200 '${answer}'; } }`,
  );

export const nginxHttp1 = (programs, port, providerPort) =>
  nginx(
    programs,
    cores.measured,
    port,
    `server { listen 127.0.0.1:${port}; ${location} { proxy_http_version 1.1; proxy_set_header Connection ""; proxy_pass http://provider$1; } }`,
    providerPort,
  );

/** Bodies of any length, passed on as they come in both directions. */
export const nginxUnbuffered = (programs, port, providerPort) =>
  nginx(
    programs,
    cores.measured,
    port,
    `server { listen 127.0.0.1:${port}; client_max_body_size 0; ${location} { proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; proxy_request_buffering off; proxy_pass http://provider$1$is_args$args; } }`,
    providerPort,
  );

export const nginxGrpc = (programs, port, providerPort) =>
  nginx(
    programs,
    cores.measured,
    port,
    `server { listen 127.0.0.1:${port} http2; ${location} { rewrite ${"^/services/echo/[^/]+(/.*)$"} $1 break; grpc_pass grpc://provider; } }`,
    providerPort,
  );

/** One thread, connections to the provider shared. `protocol` is empty for HTTP/1.1 or `proto h2`. */
export async function haproxy(programs, port, providerPort, protocol = "") {
  const file = join(mkdtempSync(join(tmpdir(), "bench-haproxy-")), "haproxy.cfg");
  writeFileSync(
    file,
    `global
 nbthread 1
 maxconn 2000
defaults
 mode http
 timeout client 30s
 timeout server 30s
 timeout connect 5s
frontend callers
 bind 127.0.0.1:${port} ${protocol}
 http-request replace-path /services/echo/[^/]+(/.*) \\1
 default_backend providers
backend providers
 http-reuse always
 server provider 127.0.0.1:${providerPort} ${protocol}
`,
  );
  return programs.server(cores.measured, "haproxy", ["-f", file], port);
}
