"""A GitHub to test against: a real HTTP server on this machine that checks what it is asked, and fails on demand.

It knows pull requests and their comments, in memory. What is wrong with a request (a header, a path, a body) is
answered as GitHub would, and written down in `problems`. As a program:

    python tests/github/server.py --port 8080 --repository octo/models --pull-request 7 --head 3f9c…

``GET /state`` then tells everything as JSON, without a token: comments, requests and problems.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import threading
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

BOT = "github-actions[bot]"
MOST_CHARACTERS = 65_536
MOST_A_PAGE = 100
NO_RIGHT = "Resource not accessible by integration"
REPOSITORY = r"/repos/(?P<repository>[^/]+/[^/]+)"


@dataclass
class PullRequest:
    """A pull request: where it comes from, and what was said."""

    number: int
    sha: str
    branch: str = "faster"
    repository: str | None = "octo/models"
    state: str = "open"

    def document(self) -> dict[str, Any]:
        repo = None if self.repository is None else {"full_name": self.repository}
        return {
            "number": self.number,
            "state": self.state,
            "head": {"sha": self.sha, "ref": self.branch, "repo": repo},
            "base": {"ref": "main"},
        }


@dataclass
class Comment:
    """A comment on a pull request."""

    id: int
    pull_request: int
    login: str | None
    body: str

    def document(self, url: str) -> dict[str, Any]:
        return {
            "id": self.id,
            "body": self.body,
            "user": None if self.login is None else {"login": self.login},
            "html_url": f"{url}/octo/models/pull/{self.pull_request}#issuecomment-{self.id}",
        }


@dataclass
class Fault:
    """What is to be answered instead: so many times, to requests of this method whose path begins so.

    Attributes:
        status: 0 breaks the connection off without an answer.
        is_done: whether what was asked for is done all the same.
    """

    method: str
    path: str
    status: int
    message: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    times: int = 1
    is_done: bool = False


@dataclass
class Request:
    """A request as it came in."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


@dataclass
class GitHubServer:
    """The server; `start` it, or use it in a ``with`` block.

    Attributes:
        token: the one that is good; `login` whose it is, `is_app` whether that is an app, which is no user.
        may_write: whether it may comment.
        viewer: what GraphQL calls the token's owner; None where there is no GraphQL.
    """

    port: int = 0
    token: str = "ghs_secret"
    repository: str = "octo/models"
    login: str = BOT
    is_app: bool = True
    may_write: bool = True
    viewer: str | None = None
    pull_requests: list[PullRequest] = field(default_factory=list)
    comments: list[Comment] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def start(self) -> None:
        owner = self

        class Handler(_Handler):
            github = owner

        self._lock = threading.Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def say(self, body: str, login: str | None = BOT, pull_request: int = 7) -> Comment:
        """Have somebody comment."""
        comment = Comment(1000 + len(self.comments), pull_request, login, body)
        self.comments.append(comment)
        return comment

    def fail(self, method: str, path: str, status: int, message: str = "", **more: Any) -> None:
        """Answer the next request like this with a fault."""
        self.faults.append(Fault(method, path, status, message, **more))

    def asked(self, method: str | None = None) -> list[str]:
        """The requests so far, as ``GET /user``."""
        return [f"{it.method} {it.path}" for it in self.requests if method in {None, it.method}]

    def answer(self, request: Request) -> tuple[int, dict[str, str], Any]:
        """The status, headers and document that a request gets."""
        with self._lock:
            self.requests.append(request)
            fault = next((it for it in self.faults if it.times and self._is_meant(it, request)), None)
            if fault is not None:
                fault.times -= 1
                if fault.is_done:
                    self._done(request)
                return fault.status, fault.headers, {"message": fault.message} if fault.message else None
            problem = self._problem(request)
            if problem is not None:
                return problem
            return self._done(request)

    @staticmethod
    def _is_meant(fault: Fault, request: Request) -> bool:
        return fault.method == request.method and request.path.startswith(fault.path)

    def _problem(self, request: Request) -> tuple[int, dict[str, str], Any] | None:
        """What is wrong with a request, whatever it asks for."""
        headers, wrong = request.headers, []
        if headers.get("accept") != "application/vnd.github+json":
            wrong.append(f"Accept: {headers.get('accept')}")
        if headers.get("x-github-api-version") != "2022-11-28":
            wrong.append(f"X-GitHub-Api-Version: {headers.get('x-github-api-version')}")
        if not headers.get("user-agent", "").startswith("pytest-inferopt/"):
            wrong.append(f"User-Agent: {headers.get('user-agent')}")
        if request.method in {"POST", "PATCH"}:
            if headers.get("content-type") != "application/json":
                wrong.append(f"Content-Type: {headers.get('content-type')}")
            if not isinstance(request.body, dict):
                wrong.append("a body that is no JSON object")
        if wrong:
            self.problems += [f"{request.method} {request.path}: {it}" for it in wrong]
            return 400, {}, {"message": "Problems parsing JSON"}
        if headers.get("authorization") != f"Bearer {self.token}":
            return 401, {}, {"message": "Bad credentials"}
        return None

    def _done(self, request: Request) -> tuple[int, dict[str, str], Any]:
        routes = {
            ("GET", "/user"): self._user,
            ("POST", "/graphql"): self._graphql,
            ("GET", rf"{REPOSITORY}/pulls"): self._pulls,
            ("GET", rf"{REPOSITORY}/pulls/(?P<number>\d+)"): self._pull,
            ("GET", rf"{REPOSITORY}/issues/(?P<number>\d+)/comments"): self._comments,
            ("POST", rf"{REPOSITORY}/issues/(?P<number>\d+)/comments"): self._comment,
            ("PATCH", rf"{REPOSITORY}/issues/comments/(?P<number>\d+)"): self._edit,
        }
        for (method, pattern), route in routes.items():
            found = re.fullmatch(pattern, request.path)
            if method == request.method and found:
                if found.groupdict().get("repository", self.repository) != self.repository:
                    return 404, {}, {"message": "Not Found"}
                return route(request, int(found.groupdict().get("number", 0)))
        self.problems.append(f"{request.method} {request.path}: there is no such path")
        return 404, {}, {"message": "Not Found"}

    def _user(self, _: Request, __: int) -> tuple[int, dict[str, str], Any]:
        if self.is_app:
            return 403, {}, {"message": NO_RIGHT}
        return 200, {}, {"login": self.login}

    def _graphql(self, request: Request, _: int) -> tuple[int, dict[str, str], Any]:
        if request.body != {"query": "{viewer{login}}"}:
            self.problems.append(f"POST /graphql: {request.body}")
        if self.viewer is None:
            return 404, {}, {"message": "Not Found"}
        return 200, {}, {"data": {"viewer": {"login": self.viewer}}}

    def _pulls(self, request: Request, _: int) -> tuple[int, dict[str, str], Any]:
        state, head = request.query.get("state", "open"), request.query.get("head")
        found = [
            pull.document()
            for pull in self.pull_requests
            if state in {pull.state, "all"}
            and head in {None, f"{(pull.repository or '').partition('/')[0]}:{pull.branch}"}
        ]
        return self._page(request, found)

    def _pull(self, _: Request, number: int) -> tuple[int, dict[str, str], Any]:
        found = next((pull for pull in self.pull_requests if pull.number == number), None)
        return (404, {}, {"message": "Not Found"}) if found is None else (200, {}, found.document())

    def _comments(self, request: Request, number: int) -> tuple[int, dict[str, str], Any]:
        found = [comment.document(self.url) for comment in self.comments if comment.pull_request == number]
        return self._page(request, found)

    def _comment(self, request: Request, number: int) -> tuple[int, dict[str, str], Any]:
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        return 201, {}, self.say(request.body["body"], self.login, number).document(self.url)

    def _edit(self, request: Request, number: int) -> tuple[int, dict[str, str], Any]:
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        found = next((comment for comment in self.comments if comment.id == number), None)
        if found is None:
            return 404, {}, {"message": "Not Found"}
        if found.login != self.login:
            self.problems.append(f"PATCH {request.path}: somebody else's comment")
        found.body = request.body["body"]
        return 200, {}, found.document(self.url)

    def _refusal(self, request: Request) -> tuple[int, dict[str, str], Any] | None:
        if not self.may_write:
            return 403, {}, {"message": NO_RIGHT}
        if set(request.body) != {"body"} or not isinstance(request.body["body"], str):
            self.problems.append(f"{request.method} {request.path}: {sorted(request.body)}")
            return 422, {}, {"message": "Validation Failed"}
        if len(request.body["body"]) > MOST_CHARACTERS:
            self.problems.append(f"{request.method} {request.path}: a body of {len(request.body['body'])} characters")
            return 422, {}, {"message": "Body is too long (maximum is 65536 characters)"}
        return None

    def _page(self, request: Request, items: list[Any]) -> tuple[int, dict[str, str], Any]:
        size = min(int(request.query.get("per_page", 30)), MOST_A_PAGE)
        page = int(request.query.get("page", 1))
        headers = {}
        if page * size < len(items):
            rest = "&".join(f"{name}={value}" for name, value in request.query.items() if name != "page")
            here = f"{self.url}{request.path}?{rest}&page="
            headers["Link"] = f'<{here}{page + 1}>; rel="next", <{here}{-(-len(items) // size)}>; rel="last"'
        return 200, headers, items[(page - 1) * size : page * size]


class _Handler(BaseHTTPRequestHandler):
    github: GitHubServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path == "/state":
            state = {name: [asdict(it) for it in getattr(self.github, name)] for name in ("comments", "requests")}
            self._send(200, {}, {**state, "problems": self.github.problems})
            return
        length = int(self.headers.get("Content-Length") or 0)
        text = self.rfile.read(length)
        try:
            body = json.loads(text) if text else None
        except ValueError:
            body = None
        query = {name: values[-1] for name, values in parse_qs(url.query).items()}
        headers = {name.lower(): value for name, value in self.headers.items()}
        status, more, document = self.github.answer(Request(self.command, url.path, query, headers, body))
        if status == 0:
            self.close_connection = True
            return
        self._send(status, more, document)

    do_POST = do_PATCH = do_PUT = do_DELETE = do_GET  # noqa: N815 - names of the base class's

    def _send(self, status: int, headers: dict[str, str], document: Any) -> None:
        text = b"" if document is None else json.dumps(document).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json; charset=utf-8", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        """Say nothing; the requests are kept."""


def main() -> None:
    """Serve until somebody ends it."""
    parser = argparse.ArgumentParser(description="A GitHub to test against.")
    parser.add_argument("--port", type=int, default=0, help="0 takes any that is free")
    parser.add_argument("--token", default="ghs_secret", help="the one that is good")
    parser.add_argument("--repository", default="octo/models")
    parser.add_argument("--pull-request", type=int, default=7)
    parser.add_argument("--head", required=True, help="the commit that the pull request is at")
    parser.add_argument("--branch", default="faster")
    parser.add_argument("--fork", help="the repository that the branch is in; the same one without")
    parser.add_argument("--read-only", action="store_true", help="the token may not comment")
    given = parser.parse_args()
    pull = PullRequest(given.pull_request, given.head, given.branch, given.fork or given.repository)
    server = GitHubServer(
        given.port, given.token, given.repository, may_write=not given.read_only, pull_requests=[pull]
    )
    with server:
        sys.stdout.write(f"{server.url}\n")
        sys.stdout.flush()
        threading.Event().wait()


if __name__ == "__main__":
    main()
