/** What one clause of docs/reference/wire.md asks of a plugin, as the check words it. */
export interface Clause {
  /** What the plugin does if it keeps the clause. */
  readonly title: string;
  /** What was expected, for a failure. */
  readonly expected: string;
  /** What to do about a failure. */
  readonly advice: string;
}

const clause = (title: string, expected: string, advice: string): Clause => Object.freeze({ title, expected, advice });

/** Every clause that the check can test, in the order of the specification. */
export const clauses = Object.freeze({
  "W-1.2": clause(
    "speaks HTTP/1.1",
    "an HTTP/1.1 answer to POST /connectplugin.v1.PluginIdentity/GetPluginInfo, of whatever status",
    "serve HTTP/1.1 without TLS on that port, and answer every request",
  ),
  "W-1.4": clause(
    "ignores JSON fields that it does not know",
    "the same answer with a field more in the request",
    "make the JSON reader skip unknown fields: later hosts send more of them",
  ),
  "W-1.5": clause(
    "takes a body of no bytes for an empty binary message",
    "status 200 for a body of length 0 with Content-Length: 0",
    "decode 0 bytes as a message whose fields all have their defaults",
  ),
  "W-1.6": clause(
    "reads bodies in chunks",
    "the same answer to Transfer-Encoding: chunked as to a Content-Length, for a message and for what is none",
    "read chunks: a small HTTP server may leave them to you; the router keeps the caller's framing",
  ),
  "W-1.7": clause(
    "answers in the content type of the request",
    "the Content-Type of the request in the answer, and a message in that encoding",
    "set Content-Type: application/json on answers to JSON, application/proto on answers to binary",
  ),
  "W-1.11": clause(
    "refuses content types that it does not speak",
    "a status from 400 to 499, or 501, for a content type that nobody speaks",
    "answer 415 unless the content type is one that you serve",
  ),
  "W-1.12": clause(
    "reads gzip or refuses it properly",
    "status 200, a status from 400 to 499, or 501 for a request with Content-Encoding: gzip; not 200 if it is no message",
    "look at Content-Encoding before you decode; if it is not identity, answer 501 with the code unimplemented",
  ),
  "W-1.13": clause(
    "compresses only for those who accept it",
    "no Content-Encoding without Accept-Encoding; at most gzip, and whole, with Accept-Encoding: gzip",
    "send answers uncompressed unless the request's Accept-Encoding names the encoding",
  ),
  "W-1.14": clause(
    "keeps a connection, or closes it openly",
    "two answers on one connection, or Connection: close with the first",
    "give each answer a Content-Length that is its body's, or chunks, and read each request to its end",
  ),
  "W-1.15": clause(
    "does not know procedures that it does not have",
    "status 404 or 501 for an unknown procedure",
    "answer 404 for paths that you do not serve; the host learns from it what a plugin leaves out",
  ),
  "W-1.16": clause(
    "refuses a message that it cannot read",
    "a status from 400 to 499 for a body that is no JSON",
    "answer 400 with the code invalid_argument when the body does not decode",
  ),
  "W-1.17": clause(
    "survives garbage",
    "the usual answer after requests that are no HTTP, broken off, or too long",
    "let an error on one connection end that connection only",
  ),
  "W-1.18": clause(
    "runs procedures by POST only",
    "a status from 400 to 499, or 501, for GET and PUT with and without a content type, and no effect",
    "answer 405 to everything but POST, whatever its content type and body are",
  ),
  "W-1.19": clause(
    "reads header names in any case, and content types with parameters",
    "the usual answer to CONTENT-TYPE: application/json; charset=utf-8",
    "compare header names without case, and the content type without what stands behind the semicolon",
  ),
  "W-2.1": clause(
    "can be added by its URL",
    "addPlugin with the URL succeeds at a real host",
    "the message is the host's own; docs/reference/errors.md explains its code",
  ),
  "W-2.3": clause(
    "waits for a host without HOST_URL",
    "without HOST_URL it listens on PORT and stays, if it does not register itself with HOST_URL",
    "take HOST_URL as the only sign to register; without it serve PluginIdentity and wait",
  ),
  "W-2.4": clause(
    "puts the path of HOST_URL in front of every path",
    "every call begins with the path of HOST_URL",
    "append paths to HOST_URL as text; do not resolve them against it, which drops its path",
  ),
  "W-3.1": clause(
    "greets the host as section 3 says",
    "a handshake that the host accepts",
    "send the magic cookie, core_protocol_version 1, the app version, self_id and self_version",
  ),
  "W-3.8": clause(
    "stays away from a host that refuses its handshake",
    "no other call to a host that has answered the handshake with an error",
    "end with an exit code, or try the handshake again later; register only after it has succeeded",
  ),
  "W-4.2": clause(
    "proves its identity on every call",
    "X-Plugin-Runtime-ID and Authorization: Bearer on every call but the handshake",
    "send both headers with what the handshake or SetRuntimeIdentity gave",
  ),
  "W-4.6": clause(
    "takes the identity that it is given",
    'SetRuntimeIdentity answers {"acknowledged":true}, and again with a new token',
    "keep runtime_id, runtime_token and host_url, replace them when called again, and acknowledge",
  ),
  "W-4.7": clause(
    "does not print its token",
    "the tokens of its handshake and of SetRuntimeIdentity nowhere on standard output or standard error",
    "leave the token out of logs, or print its first eight characters at most",
  ),
  "W-5.1": clause(
    "says who it is",
    "GetPluginInfo answers with selfId; or the plugin greets and registers; or it serves the handshake itself",
    "serve PluginIdentity/GetPluginInfo with at least selfId",
  ),
  "W-5.2": clause(
    "keeps the limits in what it says of itself",
    "names, versions, paths and metadata within the limits of clause W-6.2",
    "correct the named field",
  ),
  "W-5.6": clause(
    "says the same in binary as in JSON",
    "the same GetPluginInfo as application/proto",
    "encode both from one message; field numbers are in the .proto files",
  ),
  "W-5.7": clause(
    "says the same of itself each time",
    "the same answer of GetPluginInfo before and after everything else",
    "declare what you provide, not what works at the moment: that is health",
  ),
  "W-6.4": clause(
    "registers with a base_url that leads to itself",
    "metadata base_url in each registration, with the port that it was given",
    'put "base_url": "http://127.0.0.1:$PORT" into the metadata, without a slash at its end',
  ),
  "W-6.11": clause(
    "registers only what it declares",
    "each registration among GetPluginInfo's provides, with type, version and path",
    "declare the service in GetPluginInfo too, or do not register it",
  ),
  "W-6.12": clause(
    "registers all that it declares",
    "each entry of GetPluginInfo's provides registered",
    "call RegisterService once for each service",
  ),
  "W-6.13": clause(
    "registers in a way that the host accepts",
    "no RegisterService that is refused",
    "correct the field that the host's message begins with",
  ),
  "W-8.5": clause(
    "answers polls of its health",
    "GetHealth answers a state of the enum HealthState",
    'answer {"state":"HEALTH_STATE_HEALTHY"}, or _DEGRADED or _UNHEALTHY with a reason',
  ),
  "W-8.6": clause(
    "reports its health in a way that the host accepts",
    "no ReportHealth that is refused",
    "send state as HEALTH_STATE_HEALTHY, _DEGRADED or _UNHEALTHY",
  ),
  "W-9.9": clause(
    "answers calls that come through the host",
    "an answer of the plugin's own to a call through the router, and no failure that comes from the headers of W-9.5",
    "accept additional headers, and listen where base_url says",
  ),
  "W-10.5": clause(
    "says errors as Connect errors",
    'a JSON object with a code of Connect, such as {"code":"invalid_argument"}, as application/json',
    "answer errors of procedures that you serve with that object",
  ),
  "W-11.1": clause(
    "listens on PORT",
    "a listening socket on 127.0.0.1 at the port in PORT",
    "read PORT and HOSTNAME from the environment and listen there",
  ),
  "W-11.2": clause(
    "can be started by the host",
    "addPlugin with the command succeeds at a real host",
    "the message is the host's own; docs/reference/errors.md explains its code",
  ),
  "W-11.6": clause(
    "listens on HOSTNAME only",
    "no listener on other addresses of the machine",
    "bind to the address in HOSTNAME, not to all of them: nobody but the host may reach a plugin",
  ),
  "W-12.4": clause(
    "acknowledges Shutdown",
    'PluginControl/Shutdown answers {"acknowledged":true}',
    "answer first, then end",
  ),
  "W-12.5": clause(
    "ends after Shutdown",
    "the process has ended grace_period_seconds after it acknowledged",
    "leave the process once calls in flight are done; close connections that idle",
  ),
  "W-12.6": clause(
    "ends on SIGTERM",
    "the process has ended within the grace after SIGTERM",
    "do not ignore SIGTERM; finish calls in flight and exit",
  ),
  "W-12.7": clause(
    "leaves no process behind",
    "no process of its group after it has ended",
    "end the processes that you have started before you end yourself",
  ),
});

/** Number of a clause of docs/reference/wire.md. */
export type ClauseId = keyof typeof clauses;

/** All of them, in order. */
export const clauseIds = Object.freeze(Object.keys(clauses) as ClauseId[]);
