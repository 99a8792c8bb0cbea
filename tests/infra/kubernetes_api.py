"""As much of Kubernetes' API as spark-submit asks for, which keeps what it is told to make."""

import json
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        made = json.loads(self._body())
        made["metadata"]["uid"] = f"uid-{len(self.server.made)}"
        made["metadata"].setdefault("namespace", self.path.split("/")[4])
        self.server.made.append(made)
        self._answer(201, made)

    def do_PATCH(self):
        self.do_POST()

    def do_GET(self):
        reason = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404}
        self._answer(404, reason)

    def _body(self):
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _answer(self, status, content):
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *arguments):
        pass


@contextmanager
def kubernetes_api():
    """Run the server; give its URL and the list of objects that it was told to make."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.made = []
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", server.made
    server.shutdown()
    server.server_close()
