"""Makes the model files of another commit again: one test, run in that commit's worktree, without measuring.

``python -P -m pytest_inferopt.plugin.rebuilding ORDER`` in the root of the tests, ORDER being the path of a JSON
document; see `pytest_inferopt.engine.baseline.rebuild`. This package is the caller's own in any case, whatever the
worktree holds.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_inferopt.domain.text import printable
from pytest_inferopt.engine.workshop.provenance import is_of_repository, modules_under

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["NAME", "Rebuilding", "main"]

NAME = "inferopt-rebuilding"
SHOWN = 300
LEAKS_SHOWN = 3


class Rebuilding:
    """Registered as a plugin while a test of another commit runs.

    Attributes:
        commit: whose models they are.
        reasons: why something could not be made.
        leaked: modules of the caller's own working copy that were imported, by name.
    """

    def __init__(self, commit: str, home: Path) -> None:
        self.__name__ = NAME  # under which pytest registers it
        self.commit = commit
        self.reasons: list[str] = []
        self.leaked: dict[str, str] = {}
        self._home = home

    @pytest.hookimpl(wrapper=True)
    def pytest_cmdline_main(self, config: pytest.Config) -> Generator[None, object, object]:
        """Have no workers, whatever the configuration asks for; xdist may not be loaded, and then it has no options."""
        config.option.numprocesses = 0
        return (yield)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note why a test failed."""
        self._note(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note why a file could not be collected."""
        self._note(report)

    def pytest_unconfigure(self) -> None:
        """Note what was imported from the wrong place, as long as it is imported."""
        self.leaked |= modules_under(self._home)

    def seen_by_worker(self, modules: dict[str, str]) -> None:
        """Take what the worker has imported from the caller's working copy."""
        self.leaked |= modules

    @property
    def home(self) -> Path:
        """The root of the caller's working copy, of which nothing may be imported."""
        return self._home

    def _note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if report.failed:
            crash = getattr(report.longrepr, "reprcrash", None)
            text = crash.message if crash is not None else report.longreprtext
            self.reasons.append(" ".join(text.split()))


def main(order_path: str) -> int:
    """Run the test and write the outcome."""
    order = json.loads(Path(order_path).read_text(encoding="utf-8"))
    home = Path(order["home"])
    others = [path for path in sys.path if not (path and is_of_repository(Path(path), home))]
    sys.path[:] = [*(root for root in order["import_roots"] if Path(root).is_dir()), *others]
    # What this package needed to be found must not lead the test's own children astray.
    os.environ["PYTHONPATH"] = order["pythonpath"]
    rebuilding = Rebuilding(order["commit"], home)
    arguments = [*order["arguments"], "-p", "no:cacheprovider"]
    status = pytest.main(arguments, plugins=[rebuilding])
    Path(order["outcome"]).write_text(json.dumps(_outcome(rebuilding, int(status))), encoding="utf-8")
    return 0


def _outcome(rebuilding: Rebuilding, status: int) -> dict[str, Any]:
    leaked = [f"{name} ({printable(file, SHOWN)})" for name, file in sorted(rebuilding.leaked.items())]
    reason = printable(rebuilding.reasons[0], SHOWN) if rebuilding.reasons else ""
    return {"status": status, "reason": reason, "leaked": leaked[:LEAKS_SHOWN]}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
