"""GitHub's API with artifacts, and the storage that they lie in."""

from __future__ import annotations

import importlib.util
import re
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from played.forge import REPOSITORY, ROOT, TOKEN

if TYPE_CHECKING:
    from pathlib import Path


class Storage(ThreadingHTTPServer):
    """Where a forge keeps artifacts, at an address of its own; `tokens` are those that somebody brought along."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Stored)
        self.content: dict[str, bytes] = {}
        self.tokens: list[str | None] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class _Stored(BaseHTTPRequestHandler):
    server: Storage

    def do_GET(self) -> None:
        self.server.tokens.append(self.headers.get("Authorization"))
        content = self.server.content.get(self.path)
        self.send_response(404 if content is None else 200)
        self.end_headers()
        self.wfile.write(content or b"")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def api_server(storage: Storage) -> Any:
    """GitHub's API on this machine, with artifacts: `leave(run, name, archive)` puts one there."""
    github = _loaded(ROOT / "tests" / "github" / "server.py")

    class Server(github.GitHubServer):
        def leave(self, run: int, name: str, archive: bytes, *, size: int | None = None, expired: bool = False) -> None:
            number = len(storage.content) + 1
            storage.content[f"/{number}"] = archive
            self.artifacts.append((run, {
                "id": number, "name": name, "expired": expired, "created_at": f"2030-01-01T00:00:{number:02}Z",
                "size_in_bytes": len(archive) if size is None else size,
                "archive_download_url": f"{self.url}/repos/{self.repository}/actions/artifacts/{number}/zip",
            }))  # fmt: skip

        def _done(self, request: Any) -> tuple[int, dict[str, str], Any]:
            path = re.fullmatch(rf"/repos/{self.repository}/actions/(.*)", request.path)
            if path is None:
                return super()._done(request)
            if found := re.fullmatch(r"runs/(\d+)/artifacts", path[1]):
                asked = (int(found[1]), request.query["name"])
                ours = [one for run, one in self.artifacts if (run, one["name"]) == asked]
                return 200, {}, {"total_count": len(ours), "artifacts": ours}
            number = re.fullmatch(r"artifacts/(\d+)/zip", path[1])[1]
            return 302, {"Location": f"{storage.url}/{number}"}, None

    server = Server(token=TOKEN, repository=REPOSITORY)
    server.artifacts = []
    server.pull_request = github.PullRequest
    return server


def _loaded(path: Path) -> Any:
    """A module by its path; test folders are not packages."""
    spec = importlib.util.spec_from_file_location(f"inferopt_tests_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
