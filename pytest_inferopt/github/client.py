"""GitHub's REST API, as far as a comment needs it: asked politely, again where that helps, and never for ever.

https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api
"""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Self

from pytest_inferopt._version import __version__
from pytest_inferopt.domain.text import printable
from pytest_inferopt.errors import MissingDependencyError, NotMeasuredError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import httpx

__all__ = ["ApiError", "GitHub", "NotPostedError"]

API_URL = "https://api.github.com"
HEADERS = {
    "Accept": "application/vnd.github+json",
    "X-GitHub-Api-Version": "2022-11-28",
    "User-Agent": f"pytest-inferopt/{__version__}",
}
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
TIMEOUT_SECONDS = 30.0
TRIES = 5
MOST_WAIT_SECONDS = 180.0
# What is to be waited where a limit is hit and nothing says how long.
LIMITED_SECONDS = 60.0
MOST_PAGES = 100
PAGE = 100
MESSAGE_LIMIT = 300
NO_RIGHT = (
    "The token may not do that: give the job `permissions: pull-requests: write`; a fork's pull request is told from a "
    "`workflow_run`."
)


class NotPostedError(NotMeasuredError):
    """Why there is no comment; the verdict stands without one."""


class ApiError(NotPostedError):
    """What GitHub answered instead.

    Attributes:
        status: the answer's; 0 where there was none.
        is_uncertain: whether what was asked for may have been done all the same.
    """

    def __init__(self, message: str, hint: str = "", *, status: int = 0) -> None:
        super().__init__(message, hint)
        self.status = status
        self.is_uncertain = status == 0 or status >= HTTPStatus.INTERNAL_SERVER_ERROR


class GitHub:
    """A client for one token; `close`, or a ``with`` block, ends its connections.

    After an answer of a rate limit (403, 429), a fault of the server (5xx) or a broken connection it asks again, five
    times in all and for at most three minutes; how long it waits is what GitHub says, else twice as long each time.

    Args:
        token: sent to this API and nowhere else.
        api_url: its address.
        sleep: waits for so many seconds; a test gives its own.
        clock: the time in seconds since 1970, in UTC.

    Raises:
        UsageError: the address is none that a token may be sent to.
        MissingDependencyError: httpx is not installed.
    """

    def __init__(
        self,
        token: str,
        api_url: str = API_URL,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.time,
    ) -> None:
        try:
            import httpx
        except ImportError as error:
            raise MissingDependencyError(
                "a comment needs httpx, not installed here.", 'pip install "pytest-inferopt[github]".'
            ) from error
        self._base = _checked_base(api_url)
        self._sleep = sleep
        self._clock = clock
        headers = {**HEADERS, "Authorization": f"Bearer {token}"}
        self._http = httpx.Client(headers=headers, timeout=TIMEOUT_SECONDS, follow_redirects=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connections."""
        self._http.close()

    def login(self) -> str:
        """The name of the token's user; an app has none, which is a 403; raises as `get` does."""
        answer = self.get("/user")
        login = answer.get("login") if isinstance(answer, dict) else None
        if not isinstance(login, str):
            raise ApiError("GitHub's answer is no user.")
        return login

    def get(self, path: str, params: Mapping[str, str | int] | None = None) -> Any:
        """The document at a path.

        Raises:
            ApiError: there is none to be had.
        """
        return _json(self._answer("GET", f"{self._base}{path}", params=params))

    def pages(self, path: str, params: Mapping[str, str | int] | None = None) -> Iterator[Any]:
        """The items of a list, from all of its pages; raises as `get` does."""
        url = f"{self._base}{path}"
        wanted: Mapping[str, str | int] | None = {**(params or {}), "per_page": PAGE}
        for _ in range(MOST_PAGES):
            answer = self._answer("GET", url, params=wanted)
            items = _json(answer)
            if not isinstance(items, list):
                raise ApiError(f"GitHub answered GET {path} with no list.", status=answer.status_code)
            yield from items
            following = answer.links.get("next", {}).get("url")
            if following is None:
                return
            # The token goes with it, and to nobody else.
            if not following.startswith(f"{self._base}/"):
                raise ApiError(f"GitHub's list {path} goes on at another address.", status=answer.status_code)
            url, wanted = following, None
        raise ApiError(f"GitHub's list {path} has more than {MOST_PAGES} pages.")

    def patch(self, path: str, body: Mapping[str, Any]) -> Any:
        """Change what is at a path; raises as `get` does."""
        return _json(self._answer("PATCH", f"{self._base}{path}", body=body))

    def post(self, path: str, body: Mapping[str, Any], made: Callable[[], Any] = lambda: None) -> Any:
        """Make something; raises as `get` does.

        Args:
            path: where.
            body: what.
            made: looks for what was made by an attempt of which nobody knows how it ended; None where there is nothing.
        """
        for tries_left in reversed(range(TRIES)):
            try:
                return _json(self._answer("POST", f"{self._base}{path}", body=body))
            except ApiError as error:
                if not error.is_uncertain or not tries_left:
                    raise
                self._sleep(2.0 ** (TRIES - 1 - tries_left))
                found = made()
                if found is not None:
                    return found
        raise AssertionError  # pragma: no cover - the last try returns or raises

    def viewer(self) -> str:
        """Whose the token is, by GraphQL, which tells an app's too; raises as `get` does."""
        # An Enterprise Server has it beside the REST API and not below it.
        url = f"{self._base.removesuffix('/v3')}/graphql"
        answer = _json(self._answer("POST", url, body={"query": "{viewer{login}}"}))
        try:
            return str(answer["data"]["viewer"]["login"])
        except (KeyError, TypeError):
            raise ApiError("GitHub's GraphQL does not say whose the token is.") from None

    def _answer(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str | int] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> httpx.Response:
        """The first answer that is what was asked for."""
        import httpx

        waited = 0.0
        for attempt in range(TRIES):
            try:
                answer = self._http.request(method, url, params=params, json=body)
            except httpx.TransportError as error:
                problem = ApiError(f"GitHub cannot be reached: {printable(str(error) or type(error).__name__, 200)}.")
                wait: float | None = 2.0**attempt
            else:
                if answer.is_success:
                    return answer
                problem, wait = _problem(answer), self._wait_seconds(answer, attempt)
            # What may have been made already is not made again without a look.
            is_over = problem.is_uncertain and method == "POST"
            if is_over or wait is None or attempt == TRIES - 1 or waited + wait > MOST_WAIT_SECONDS:
                raise problem
            self._sleep(wait)
            waited += wait
        raise AssertionError  # pragma: no cover - the last try returns or raises

    def _wait_seconds(self, answer: httpx.Response, attempt: int) -> float | None:
        """How long to wait before it is worth to ask again; None where it never is."""
        if answer.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return 2.0**attempt
        if not _is_limited(answer):
            return None
        after, reset = answer.headers.get("retry-after", ""), answer.headers.get("x-ratelimit-reset", "")
        if after.isdecimal():
            return float(after)
        if answer.headers.get("x-ratelimit-remaining") == "0" and reset.isdecimal():
            return max(float(reset) - self._clock(), 1.0)
        return LIMITED_SECONDS * 2.0**attempt


def _checked_base(api_url: str) -> str:
    import httpx

    try:
        url = httpx.URL(api_url)
    except httpx.InvalidURL:
        url = httpx.URL()
    is_safe = url.scheme == "https" or (url.scheme == "http" and url.host in LOOPBACK)
    if not is_safe or not url.host or url.userinfo or url.query or url.fragment:
        raise UsageError(
            f"GITHUB_API_URL={printable(api_url)} is no address that a token may be sent to.",
            f"It looks like {API_URL}.",
        )
    return api_url.rstrip("/")


def _is_limited(answer: httpx.Response) -> bool:
    """Whether it is the number of requests that was refused, and not the request."""
    if answer.status_code == HTTPStatus.TOO_MANY_REQUESTS:
        return True
    is_told = "retry-after" in answer.headers or answer.headers.get("x-ratelimit-remaining") == "0"
    return answer.status_code == HTTPStatus.FORBIDDEN and (is_told or "rate limit" in _message(answer).lower())


def _json(answer: httpx.Response) -> Any:
    try:
        return answer.json()
    except ValueError:
        request = answer.request
        raise ApiError(
            f"GitHub answered {request.method} {request.url.path} with no JSON.", status=answer.status_code
        ) from None


def _problem(answer: httpx.Response) -> ApiError:
    status, path = answer.status_code, answer.request.url.path
    message = _message(answer)
    told = f": {message.rstrip('.')}" if message else ""
    return ApiError(
        f"GitHub answered {answer.request.method} {path} with {status}{told}.", _hint(status), status=status
    )


def _message(answer: httpx.Response) -> str:
    """What GitHub says about it, made fit to stand in a sentence."""
    try:
        document = answer.json()
    except ValueError:
        return ""
    message = document.get("message") if isinstance(document, dict) else None
    return printable(message, MESSAGE_LIMIT) if isinstance(message, str) else ""


def _hint(status: int) -> str:
    if status == HTTPStatus.UNAUTHORIZED:
        return "Pass a token that is still good: GITHUB_TOKEN."
    if status in {HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND}:
        return NO_RIGHT
    return ""
