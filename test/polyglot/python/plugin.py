"""A plugin in nothing but Python's standard library: an HTTP/1.1 server and Connect's JSON.

With HOST_URL it opens its port, then registers itself. Without it, it waits for the host to ask who it is and to give it
an identity; that identity is enough to call other plugins through the host.

Environment: PORT (0: any free port), SELF_ID, PROVIDES (service type), DEPENDS_ON (service type), HOST_URL.
"""

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
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            try:
                self.answer(200, self.run(body))
            except ConnectError as error:
                self.answer(error.status, {"code": error.code, "message": str(error)})
            except Exception as error:  # whatever it is, the caller has to hear of it
                self.answer(500, {"code": "internal", "message": repr(error)})

        def run(self, body):
            if self.headers.get_content_type() != "application/json":
                raise ConnectError("invalid_argument", "this plugin speaks application/json only", 415)
            if self.headers.get("Authorization") or self.headers.get("X-Plugin-Runtime-ID"):
                raise ConnectError("internal", f"{plugin.self_id} was shown the credentials of its caller")
            procedure = plugin.procedures.get(self.path)
            if procedure is None:
                raise ConnectError("unimplemented", f"{self.path} is not served here")
            return procedure(json.loads(body or b"{}"))

        def answer(self, status, message):
            body = json.dumps(message).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
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
