"""In place of measuring, in a job that may write: the report that another workflow's run has left.

That run executed the code of a pull request, so its artifact is anybody's. Its archive is kept as a file of limited
size and nothing in it is unpacked: one document is read out of it, which is a report or is refused. Which run it is of
is GitHub's own word, in the event.
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

import httpx

from pytest_inferopt.engine.reports.files import read_shards
from pytest_inferopt.errors import InferoptError
from pytest_inferopt.github.client import API_URL, HEADERS, GitHub
from steps.event import read_event
from steps.plan import OUTCOME, read_plan
from steps.workflow import StepError, annotate, say

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["run"]

MAX_ARCHIVE_BYTES = 100_000_000
TIMEOUT_SECONDS = 60.0
CHUNK_BYTES = 1 << 20
MAY_READ = "Give the job `permissions: actions: read`."
NO_RIGHT = frozenset({403, 404})
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def run() -> int:
    """Get the report; where the run has left none, there is nothing to post, and the job is green.

    Raises:
        StepError: the artifact is none of ours, or GitHub does not give it.
    """
    plan, event = read_plan(), read_event(os.environ)
    shutil.rmtree(plan.reports, ignore_errors=True)
    plan.reports.mkdir(parents=True)
    name, token = plan.inputs.artifact_name, os.environ.get("GITHUB_TOKEN", "")
    measured = event.payload.get("workflow_run")
    number = measured.get("id") if isinstance(measured, dict) else None
    if not isinstance(number, int) or not event.repository:
        raise StepError("the event names no run of a workflow.", "Use activity comment under workflow_run.")
    archive = plan.folder / "artifact.zip"
    try:
        with GitHub(token, os.environ.get("GITHUB_API_URL") or API_URL) as github:
            artifact = _artifact(github, event.repository, number, name)
        if artifact is None:
            annotate("notice", f"run {number} has left no artifact {name}, so there is nothing to post.")
        else:
            _download(artifact, token, archive)
            _take(archive, plan.report, name)
    except InferoptError as error:
        hint = MAY_READ if getattr(error, "status", 0) in NO_RIGHT else error.hint
        raise StepError(f"artifact {name} of run {number}: {error.message}", hint) from error
    finally:
        archive.unlink(missing_ok=True)
    plan.write(OUTCOME, {"exit_code": 0, "said": ""})
    return 0


def _artifact(github: GitHub, repository: str, number: int, name: str) -> Mapping[str, Any] | None:
    """The newest artifact of a run under a name, as GitHub lists it; None without one."""
    listed = github.get(f"/repos/{repository}/actions/runs/{number}/artifacts", {"name": name, "per_page": 100})
    found = listed.get("artifacts") if isinstance(listed, dict) else None
    ours = [one for one in found or () if isinstance(one, dict) and one.get("name") == name and not one.get("expired")]
    return max(ours, key=lambda one: str(one.get("created_at")), default=None)


def _download(artifact: Mapping[str, Any], token: str, target: Path) -> None:
    """Keep an artifact's archive as a file, and not one byte more than is allowed.

    GitHub answers with the address of a storage that is not its own, and the token is not for that one.
    """
    url, size = str(artifact.get("archive_download_url")), artifact.get("size_in_bytes")
    if isinstance(size, int) and size > MAX_ARCHIVE_BYTES:
        raise StepError(f"the artifact has {size:,} bytes, and a report at most {MAX_ARCHIVE_BYTES:,}.")
    base = os.environ.get("GITHUB_API_URL") or API_URL
    if not url.startswith(f"{base.rstrip('/')}/"):
        raise StepError("GitHub names an address for the artifact that is not its own.")
    try:
        with httpx.Client(timeout=TIMEOUT_SECONDS, follow_redirects=False) as client:
            answer = client.get(url, headers={**HEADERS, "Authorization": f"Bearer {token}"})
            place = answer.headers.get("location", "")
            if not answer.is_redirect or not _is_safe(place):
                raise StepError(
                    f"GitHub answered with {answer.status_code} when it was asked where the artifact is.",
                    MAY_READ,
                )
            with client.stream("GET", place) as content:
                content.raise_for_status()
                _keep(content, target)
    except httpx.HTTPError as error:
        raise StepError(f"the artifact cannot be downloaded: {type(error).__name__}.", "Run the job again.") from error


def _is_safe(address: str) -> bool:
    url = httpx.URL(address)
    return url.scheme == "https" or (url.scheme == "http" and url.host in LOOPBACK)


def _keep(content: httpx.Response, target: Path) -> None:
    kept = 0
    with target.open("wb") as stream:
        # As it comes: a server that packs it once more must not make it larger than it says.
        for chunk in content.iter_raw(CHUNK_BYTES):
            kept += len(chunk)
            if kept > MAX_ARCHIVE_BYTES:
                raise StepError(f"the artifact has more than {MAX_ARCHIVE_BYTES:,} bytes, which no report has.")
            stream.write(chunk)


def _take(archive: Path, target: Path, name: str) -> None:
    """Read the one report out of an archive, and write it anew."""
    found = read_shards(archive)
    if len(found) != 1:
        raise StepError(
            f"artifact {name} holds {len(found)} reports, and one is posted.", "Merge them: activity merge."
        )
    target.write_text(found[0].report.model_dump_json(indent=1), encoding="utf-8")
    say(f"artifact {name}: {len(found[0].report.results)} models")
