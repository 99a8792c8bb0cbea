"""A local server that answers as the Hugging Face Hub does: resolve, redirects, error codes."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """`files` maps (repository, path) to content; every repository has main and the commits."""

    files: dict[tuple[str, str], bytes]
    # Files of this size and more lie elsewhere and are redirected to, as large files are.
    redirected_size_bytes: int = 1 << 14
    commits: set[str] = field(default_factory=lambda: {COMMIT})
    # Repositories that only a token opens, and those that ask for consent first.
    private: dict[str, str] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    # HTTP statuses to answer with first, one for each request.
    failures: list[int] = field(default_factory=list)
    requests: list[tuple[str, str]] = field(default_factory=list)
    url: str = ""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def do_POST(self) -> None:
        """Answer what the client asks on its way to a commit, and take the commit."""
        data = self.rfile.read(int(self.headers["Content-Length"]))
        self.hub.requests.append(("POST", self.path))
        if self.hub.failures:
            return self.refuse(self.hub.failures.pop(0), "")
        if self.path == "/api/validate-yaml":
            return self.send_json({"errors": [], "warnings": []})
        repository, _, asked = self.path.removeprefix("/api/datasets/").rpartition("/")
        repository, _, kind = repository.rpartition("/")
        if kind == "preupload":
            answer = {"uploadMode": "regular", "shouldIgnore": False}
            files = json.loads(data)["files"]
            return self.send_json({"files": [{"path": one["path"]} | answer for one in files]})
        if kind == "paths-info":
            paths = parse_qs(data.decode()).get("paths", [])
            return self.send_json([one for one in self.entries(repository) if one["path"] in paths])
        return self.commit(repository, data, asked)

    def commit(self, repository: str, data: bytes, revision: str) -> None:
        assert unquote(revision) == "main"
        for line in map(json.loads, data.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                content = base64.b64decode(value["content"])
                self.hub.files[repository, value["path"]] = content
            elif line["key"] == "deletedFile":
                del self.hub.files[repository, value["path"]]
        url = f"{self.hub.url}/datasets/{repository}/commit/{COMMIT}"
        self.send_json({"commitUrl": url, "commitOid": COMMIT, "success": True, "hookOutput": ""})

    def tree(self) -> None:
        place = self.path.partition("?")[0].removeprefix("/api/datasets/")
        repository, _, rest = place.partition("/tree/")
        _, _, folder = unquote(rest).partition("/")
        entries = [
            one
            for one in self.entries(repository)
            if not folder or one["path"].startswith(f"{folder}/")
        ]
        return self.send_json(entries) if entries else self.refuse(404, "EntryNotFound")

    def entries(self, repository: str) -> list[dict[str, Any]]:
        return [
            {"type": "file", "path": path, "size": len(content), "oid": "0" * 40}
            for (owner, path), content in sorted(self.hub.files.items())
            if owner == repository
        ]

    def send_json(self, value: Any) -> None:
        self.send(json.dumps(value).encode(), True, {"Content-Type": "application/json"})

    def answer(self, *, body: bool) -> None:
        self.hub.requests.append((self.command, self.path))
        if self.hub.failures:
            return self.refuse(self.hub.failures.pop(0), "")
        if self.path.startswith("/api/"):
            return self.tree()
        if self.path.startswith("/cdn/"):
            return self.send(self.content_of(self.path.removeprefix("/cdn/")), body)
        repository, _, rest = self.path.removeprefix("/").partition("/resolve/")
        revision, _, name = rest.partition("/")
        repository = repository.removeprefix("datasets/")
        if repository in self.hub.gated:
            return self.refuse(403, "GatedRepo")
        token = self.hub.private.get(repository)
        known = {place[0] for place in self.hub.files}
        if repository not in known or (token and not self.has_token(token)):
            return self.refuse(401, "RepoNotFound")
        if unquote(revision) not in {"main", *self.hub.commits}:
            return self.refuse(404, "RevisionNotFound")
        if (repository, name) not in self.hub.files:
            return self.refuse(404, "EntryNotFound")
        return self.resolve(self.hub.files[repository, name], body)

    def has_token(self, token: str) -> bool:
        return self.headers.get("Authorization") == f"Bearer {token}"

    def content_of(self, digest: str) -> bytes:
        contents = self.hub.files.values()
        return next(one for one in contents if hashlib.sha256(one).hexdigest() == digest)

    def resolve(self, content: bytes, body: bool) -> None:
        digest = hashlib.sha256(content).hexdigest()
        if len(content) < self.hub.redirected_size_bytes:
            return self.send(content, body, {"ETag": f'"{digest[:40]}"', "X-Repo-Commit": COMMIT})
        self.send_response(302)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("X-Linked-Etag", f'"{digest}"')
        self.send_header("X-Linked-Size", str(len(content)))
        # By another name of this machine: large files come from another host than the hub.
        host = self.hub.url.replace("127.0.0.1", "localhost")
        self.send_header("Location", f"{host}/cdn/{digest}")
        self.send_header("Content-Length", "0")
        return self.end_headers()

    def send(self, content: bytes, body: bool, headers: dict[str, str] | None = None) -> None:
        start, end = self.asked_range(len(content))
        self.send_response(206 if self.headers.get("Range") else 200)
        if self.headers.get("Range"):
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(content)}")
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(end - start))
        self.end_headers()
        if body:
            self.wfile.write(content[start:end])

    def asked_range(self, size: int) -> tuple[int, int]:
        first, _, last = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")
        return int(first), min(int(last) + 1, size) if last else size

    def refuse(self, status: int, code: str) -> None:
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()


@contextmanager
def serve_hub(files: dict[tuple[str, str], bytes]) -> Iterator[Hub]:
    """Serve `files` on this machine until the block ends; `url` is the endpoint."""
    hub = Hub(files)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"hub": hub}))
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
