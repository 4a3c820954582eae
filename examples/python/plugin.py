"""A plugin in nothing but Python's standard library: an HTTP/1.1 server and Connect's JSON.

It speaks JSON with the host. Other plugins may call its service in binary, which is written out by hand here: both messages of
it have strings only.

With HOST_URL it opens its port, then registers itself. Without it, it waits for the host to ask who it is and to give it
an identity; that identity is enough to call other plugins through the host.

Environment: PORT (0: any free port), SELF_ID, PROVIDES (service type), DEPENDS_ON (service type), HOST_URL.
"""

import gzip
import json
import os
import signal
import sys
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

VERSION = "1.3.0"
SERVICE_PATH = "/echo.v1.Echo/"
CALL_TIMEOUT_S = 10
HTTP_STATUS = {"invalid_argument": 400, "unimplemented": 404, "failed_precondition": 400, "unavailable": 503}


def decode_strings(body):
    """The string fields of a protobuf message, by number."""
    fields, at = {}, 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = body[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(body):
        number, size = varint() >> 3, varint()
        fields[number] = body[at : at + size].decode()
        at += size
    return fields


def encode_strings(values):
    """A protobuf message whose fields are these strings, numbered from 1."""
    message = b""
    for number, value in enumerate(values, 1):
        data, size = value.encode(), b""
        length = len(data)
        while length >= 0x80:
            size += bytes([length & 0x7F | 0x80])
            length >>= 7
        message += bytes([number << 3 | 2]) + size + bytes([length]) + data
    return message


class ConnectError(Exception):
    """An error of the Connect protocol."""

    def __init__(self, code, message, status=None):
        super().__init__(message)
        self.code = code
        self.status = status or HTTP_STATUS.get(code, 500)


class Host:
    """The host's procedures, called as a plugin with an identity."""

    def __init__(self, url, runtime_id="", token=""):
        self.url = url
        self.runtime_id = runtime_id
        self.token = token

    def call(self, path, message):
        """Calls a unary procedure of the host, or of a plugin behind it."""
        headers = {"Content-Type": "application/json", "Connect-Protocol-Version": "1"}
        if self.token:
            headers["X-Plugin-Runtime-ID"] = self.runtime_id
            headers["Authorization"] = f"Bearer {self.token}"
        request = urllib.request.Request(self.url + path, json.dumps(message).encode(), headers, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=CALL_TIMEOUT_S) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as refused:
            body = json.load(refused)
            raise ConnectError(body["code"], body.get("message", ""), refused.code) from refused

    def say(self, service_type, text):
        """Discovers a provider of `service_type` and calls it."""
        found = self.call(
            "/connectplugin.v1.ServiceRegistry/DiscoverService", {"serviceType": service_type, "minVersion": "1.0.0"}
        )
        return self.call(found["endpoint"]["endpointUrl"] + "/Say", {"text": text})


def parsed(body):
    """The message in a body of JSON; nothing is the empty message."""
    try:
        message = json.loads(body or b"{}")
    except ValueError as error:
        raise ConnectError("invalid_argument", f"the body is no JSON: {error}") from error
    if not isinstance(message, dict):
        raise ConnectError("invalid_argument", "the body is no JSON object")
    return message


class Plugin:
    """What the plugin answers."""

    def __init__(self):
        self.self_id = os.environ.get("SELF_ID", "python-plugin")
        self.provides = os.environ.get("PROVIDES", "python-echo")
        self.dependency = os.environ.get("DEPENDS_ON", "")
        self.host = None
        self.stopping = threading.Event()
        self.procedures = {
            "/connectplugin.v1.PluginIdentity/GetPluginInfo": self.get_plugin_info,
            "/connectplugin.v1.PluginIdentity/SetRuntimeIdentity": self.set_runtime_identity,
            "/connectplugin.v1.PluginControl/GetHealth": lambda _: {"state": "HEALTH_STATE_HEALTHY"},
            "/connectplugin.v1.PluginControl/Shutdown": self.shutdown,
            f"{SERVICE_PATH}Say": self.say,
        }

    def get_plugin_info(self, _):
        requires = [{"type": self.dependency, "minVersion": "1.0.0", "requiredForStartup": True}]
        return {
            "selfId": self.self_id,
            "selfVersion": VERSION,
            "provides": [{"type": self.provides, "version": VERSION, "path": SERVICE_PATH}],
            "requires": requires if self.dependency else [],
            "metadata": {"language": "python"},
        }

    def set_runtime_identity(self, message):
        self.host = Host(message["hostUrl"], message["runtimeId"], message["runtimeToken"])
        return {"acknowledged": True}

    def shutdown(self, _):
        self.stopping.set()
        return {"acknowledged": True}

    def say(self, message):
        text = message.get("text", "")
        service_type, separator, rest = text.partition(">")
        if not separator:
            return {"text": text, "provider": self.self_id}
        if self.host is None:
            raise ConnectError("failed_precondition", f"{self.self_id} cannot call {service_type}: it has no host")
        said = self.host.say(service_type, rest)
        return {"text": said.get("text", ""), "provider": f"{self.self_id}>{said['provider']}"}

    def register(self, host_url, port):
        """What a plugin does that nobody manages: say hello, register, report health."""
        hello = Host(host_url).call(
            "/connectplugin.v1.HandshakeService/Handshake",
            {
                "coreProtocolVersion": 1,
                "appProtocolVersion": 1,
                "magicCookieKey": "CONNECT_PLUGIN",
                "magicCookieValue": "d3f40b3c2e1a5f8b9c4d7e6a1b2c3d4e",
                "selfId": self.self_id,
                "selfVersion": VERSION,
            },
        )
        self.host = Host(host_url, hello["runtimeId"], hello["runtimeToken"])
        self.host.call(
            "/connectplugin.v1.ServiceRegistry/RegisterService",
            {
                "serviceType": self.provides,
                "version": VERSION,
                "endpointPath": SERVICE_PATH,
                "metadata": {"base_url": f"http://127.0.0.1:{port}", "language": "python"},
            },
        )
        self.host.call("/connectplugin.v1.PluginLifecycle/ReportHealth", {"state": "HEALTH_STATE_HEALTHY"})


def handler_for(plugin):
    """The request handler class that answers for `plugin`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            try:
                content_type = self.headers.get_content_type()
                self.answer(200, self.run(content_type, self.read_body()), content_type)
            except ConnectError as error:
                self.answer_json(error.status, {"code": error.code, "message": str(error)})
            except Exception as error:  # whatever it is, the caller has to hear of it
                self.answer_json(500, {"code": "internal", "message": repr(error)})

        def read_body(self):
            """Callers may send a length, or chunks, which http.server leaves to its users."""
            if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
                return self.decompressed(self.rfile.read(int(self.headers.get("Content-Length", 0))))
            body = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            while self.rfile.readline() not in (b"\r\n", b""):
                pass  # trailers
            return self.decompressed(body)

        def decompressed(self, body):
            encoding = self.headers.get("Content-Encoding", "identity")
            if encoding == "identity":
                return body
            if encoding != "gzip":
                raise ConnectError("unimplemented", f"{encoding} is not read here")
            try:
                return gzip.decompress(body)
            except (OSError, EOFError) as error:
                raise ConnectError("invalid_argument", f"the body is no gzip: {error}") from error

        def run(self, content_type, body):
            if self.headers.get("Authorization") or self.headers.get("X-Plugin-Runtime-ID"):
                raise ConnectError("internal", f"{plugin.self_id} was shown the credentials of its caller")
            procedure = plugin.procedures.get(self.path)
            if procedure is None:
                raise ConnectError("unimplemented", f"{self.path} is not served here")
            if content_type == "application/json":
                return json.dumps(procedure(parsed(body))).encode()
            if content_type == "application/proto" and self.path == f"{SERVICE_PATH}Say":
                said = procedure({"text": decode_strings(body).get(1, "")})
                return encode_strings([said["text"], said["provider"]])
            raise ConnectError("invalid_argument", f"{self.path} does not speak {content_type}", 415)

        def answer_json(self, status, message):
            self.answer(status, json.dumps(message).encode(), "application/json")

        def answer(self, status, body, content_type):
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format, *args):
            pass  # stdout and stderr are for what the plugin has to say

    return Handler


def main():
    plugin = Plugin()
    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "0"))), handler_for(plugin))
    server.daemon_threads = True
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: plugin.stopping.set())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port = server.server_address[1]
    host_url = os.environ.get("HOST_URL")
    if host_url:
        plugin.register(host_url, port)
    print(f"PORT={port}", flush=True)
    plugin.stopping.wait()
    server.shutdown()


if __name__ == "__main__":
    sys.exit(main())
