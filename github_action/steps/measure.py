"""Fourth step: pytest. It fails nothing by itself: the verdict is told, posted and kept before the job turns red."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from pytest_inferopt.domain.environment import Environment
from pytest_inferopt.domain.report import Report
from pytest_inferopt.engine.baseline.bundle import export_bundle, import_bundle
from pytest_inferopt.engine.baseline.manifests import Baselines
from pytest_inferopt.engine.git import git_state
from pytest_inferopt.engine.store.folder import Store
from pytest_inferopt.errors import InferoptError
from steps.baseline import FROM_CACHE
from steps.event import read_event
from steps.plan import BASE, OUTCOME, read_plan
from steps.workflow import annotate, say, set_outputs, without_commands

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import FrameType

    from steps.plan import Plan

__all__ = ["command", "run"]

WIDTH = "150"  # columns of a log; pytest takes 80 where there is no terminal, and the tables do not fit
ENDINGS = {
    2: "was interrupted, or files of tests could not be collected",
    3: "met a fault of its own",
    4: "was called wrongly",
    5: "found no inferopt test",
}
CANCELLING = (signal.SIGINT, signal.SIGTERM)


def run() -> int:
    """Run the tests and keep what came of them; 0, whatever the verdict."""
    plan, event = read_plan(), read_event(os.environ)
    base = plan.read(BASE)
    shutil.rmtree(plan.reports, ignore_errors=True)
    plan.reports.mkdir(parents=True)
    has_bundle = plan.activity == "run" and plan.inputs.baseline in FROM_CACHE and _imported(plan)
    arguments = command(plan, base, has_bundle=has_bundle)
    say(f"$ {shlex.join(['pytest', *arguments])}")
    # In place of the default branch's name, where the plugin looks for it itself.
    environ = {"COLUMNS": WIDTH, "GITHUB_BASE_REF": event.target, **_set(os.environ)}
    code = _ended([sys.executable, "-m", "pytest", *arguments], plan, environ)
    said = "" if code in {0, 1} else f"pytest ended with exit code {code}: it {ENDINGS.get(code, 'died')}."
    if not plan.report.is_file():
        _write_empty(plan, said or "pytest left no report.")
    plan.write(OUTCOME, {"exit_code": code, "said": said})
    saved = plan.activity == "save-baseline" and _exported(plan)
    set_outputs({"exit-code": str(code), "is-saved": "true" if saved else "false"})
    return 0


def command(plan: Plan, base: Mapping[str, Any], *, has_bundle: bool) -> list[str]:
    """What pytest is told. The user's own arguments come last, so that they have the last word.

    Args:
        plan: of the first step.
        base: what the step before found.
        has_bundle: whether the models of the base are in the store.
    """
    baseline = f"--inferopt-baseline={_baseline(plan, base, has_bundle=has_bundle)}"
    reports = ("terminal", f"html:{plan.page}", f"json:{plan.report}")
    places = [f"--inferopt-store={plan.store}", *(f"--inferopt-report={report}" for report in reports)]
    return ["--inferopt", "--inferopt-only", *places, baseline, *plan.inputs.options, *plan.inputs.pytest_args]


def _baseline(plan: Plan, base: Mapping[str, Any], *, has_bundle: bool) -> str:
    asked, commit = plan.inputs.baseline, base.get("commit")
    if plan.activity == "save-baseline" or asked == "none":
        return "none"
    # By name, a commit's models are taken from the store, and made again where they are not there.
    is_made = asked in {"auto", "rebuild"} or has_bundle
    return str(commit) if commit and is_made else "auto"


def _imported(plan: Plan) -> bool:
    """Whether the cache had the base's models; they are in the store now."""
    if not plan.bundle.is_file():
        say("the cache has no models of the base.")
        return False
    try:
        found = import_bundle(plan.bundle, Baselines(Store(plan.store)))
    except InferoptError as error:
        annotate("warning", f"the cached models of the base are not used: {error}")
        return False
    say(f"the cache has the models of the base: {', '.join(manifest.name for manifest in found)}")
    return True


def _exported(plan: Plan) -> bool:
    """Whether this commit's models lie where the cache takes them from."""
    head = git_state(plan.working_directory)
    baselines = Baselines(Store(plan.store))
    found = [manifest for manifest in baselines.all() if head is not None and manifest.commit == head.commit]
    try:
        if found:
            export_bundle(found, baselines, plan.bundle)
            say(f"saved for later changes: {', '.join(manifest.name for manifest in found)}")
            return True
        why = "tracked files were changed in this job" if head is not None and head.is_dirty else "no model is fit"
        annotate("warning", f"no baseline was saved: {why}.", title="pytest-inferopt: no baseline")
    except InferoptError as error:
        annotate("warning", f"no baseline was saved: {error}", title="pytest-inferopt: no baseline")
    return False


def _ended(arguments: list[str], plan: Plan, environ: Mapping[str, str]) -> int:
    """Run a process to its end; signals of the runner's, with which it cancels, are handed on to it."""
    with (
        without_commands(),
        subprocess.Popen(arguments, cwd=plan.working_directory, env={**os.environ, **environ}) as process,
    ):

        def hand_on(number: int, _: FrameType | None) -> None:
            process.send_signal(number)

        before = {number: signal.signal(number, hand_on) for number in CANCELLING}
        try:
            return process.wait()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _write_empty(plan: Plan, incident: str) -> None:
    """A report of nothing: what is posted must not stay as green as it was."""
    report = Report(
        command=shlex.join(["pytest", "--inferopt", *plan.inputs.options, *plan.inputs.pytest_args]),
        environment=Environment.here(),
        git=git_state(plan.working_directory),
        incidents=(incident,),
    )
    plan.report.write_text(report.model_dump_json(indent=1), encoding="utf-8")


def _set(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: environ[name] for name in ("COLUMNS", "GITHUB_BASE_REF") if environ.get(name)}
