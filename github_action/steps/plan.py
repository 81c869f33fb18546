"""First step: everything that the workflow asks for, checked before anything is installed or run."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from steps.event import activity_of, read_event
from steps.inputs import Inputs, read_inputs
from steps.workflow import StepError, say, set_outputs

__all__ = ["BASE", "MEASURING", "OUTCOME", "PLAN", "Plan", "read_plan", "run"]

PLAN = "INFEROPT_PLAN"
# Documents that steps leave for later ones.
BASE, OUTCOME = "base", "outcome"
LEG_DIGITS = 10
CACHED = ".inferopt/action"
MEASURING = frozenset({"run", "save-baseline"})


@dataclass(frozen=True)
class Plan:
    """What the steps after this one do, and where they leave what for each other.

    Attributes:
        activity: what is done; never ``auto``.
        inputs: what was asked for.
        workspace: the root of what is checked out.
        folder: of this use of the Action, outside of the workspace.
    """

    activity: str
    inputs: Inputs
    workspace: Path
    folder: Path

    @property
    def working_directory(self) -> Path:
        """Where pytest runs."""
        return self.workspace / self.inputs.working_directory

    @property
    def store(self) -> Path:
        """Models and baselines."""
        return self.folder / "store"

    @property
    def bundle(self) -> Path:
        """The baselines, as the cache carries them; in the workspace, since every runner has another folder outside."""
        return self.workspace / CACHED / self.leg / "baselines.zip"

    @property
    def reports(self) -> Path:
        """What becomes the artifact."""
        return self.folder / "report"

    @property
    def report(self) -> Path:
        """The report as JSON."""
        return self.reports / "report.json"

    @property
    def page(self) -> Path:
        """The report as a page."""
        return self.reports / "report.html"

    @property
    def summary(self) -> Path:
        """The report as the job's summary shows it."""
        return self.reports / "summary.md"

    @property
    def shards(self) -> Path:
        """The artifacts of the jobs that are merged."""
        return self.folder / "shards"

    @property
    def leg(self) -> str:
        """Ten characters that tell apart jobs of one commit which run different tests, as those of a matrix do."""
        return _leg(self.inputs)

    def write(self, name: str, document: dict[str, Any]) -> None:
        """Leave a document for a later step."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / f"{name}.json").write_text(json.dumps(document, indent=1), encoding="utf-8")

    def read(self, name: str) -> dict[str, Any]:
        """What an earlier step left; nothing, where it never came to it."""
        try:
            document: dict[str, Any] = json.loads((self.folder / f"{name}.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        return document


def run() -> int:
    """Check inputs and event, and write the plan."""
    inputs, event = read_inputs(os.environ), read_event(os.environ)
    workspace = Path(os.environ.get("GITHUB_WORKSPACE") or Path.cwd())
    activity = activity_of(inputs.activity, event)
    if activity in MEASURING:
        _check_working_directory(workspace, inputs.working_directory)
    temporary = Path(os.environ.get("RUNNER_TEMP") or workspace / ".inferopt-action")
    plan = Plan(activity, inputs, workspace, temporary / "pytest-inferopt" / f"{activity}-{_leg(inputs)}")
    # Of an earlier use in the same job, or of a runner that forgets nothing.
    shutil.rmtree(plan.folder, ignore_errors=True)
    # What is committed there comes with the change that it would judge.
    plan.bundle.unlink(missing_ok=True)
    plan.write("plan", {"activity": activity, "inputs": asdict(inputs), "workspace": str(workspace)})
    say(f"activity: {activity} ({event.name or 'no event'}, {event.ref or 'no ref'})")
    set_outputs({
        "plan": str(plan.folder / "plan.json"),
        "activity": activity,
        "artifact-name": inputs.artifact_name,
        # A cache is found again under the very path that it was saved under, as it was written there.
        "bundle": plan.bundle.relative_to(workspace).as_posix(),
        "reports": str(plan.reports),
        "shards": str(plan.shards),
    })  # fmt: skip
    return 0


def read_plan() -> Plan:
    """The plan of the first step.

    Raises:
        StepError: there is none.
    """
    place = Path(os.environ.get(PLAN, ""))
    try:
        document = json.loads(place.read_text(encoding="utf-8"))
    except OSError as error:
        raise StepError(f"{PLAN}={str(place)!r} cannot be read: {error}.", "The step 'plan' writes it.") from None
    fields: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in document["inputs"].items()
    }
    return Plan(document["activity"], Inputs(**fields), Path(document["workspace"]), place.parent)


def _leg(inputs: Inputs) -> str:
    parts = [inputs.working_directory, list(inputs.pytest_args), inputs.comment_id]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:LEG_DIGITS]


def _check_working_directory(workspace: Path, text: str) -> None:
    root, folder = workspace.resolve(), (workspace / text).resolve()
    if not folder.is_relative_to(root):
        raise StepError(f"input working-directory: {text!r} leads out of the workspace.", "Name a folder inside of it.")
    if not folder.is_dir():
        raise StepError(
            f"input working-directory: there is no folder {text!r} in the workspace.",
            "Check the repository out before (actions/checkout), and write the path from its root.",
        )
