"""Networks through every technique, and other tools on the same networks.

Run ``python -m benchmarks.networks``, or one step of it: ``ours``, ``theirs``, ``duel``, ``table``. What takes long is
kept in ``benchmarks/networks/data/`` and is not done again; on two processors all of it takes half an hour, and other
tools' environments take 5 GB.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from benchmarks.networks.cases import CASES
from benchmarks.networks.duel import duel
from benchmarks.networks.files import DATA, FOUND, read_json, write_json
from benchmarks.networks.ours import make_ours
from benchmarks.networks.table import write_table
from benchmarks.networks.tools import TOOLS, make_theirs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.networks.cases import Case

STEPS = ("ours", "theirs", "duel", "table")


def main(arguments: Sequence[str] | None = None) -> int:
    """Take the steps that are named, or all."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.networks", description=(__doc__ or "").partition("\n\n")[0]
    )
    parser.add_argument("steps", nargs="*", metavar="STEP", help=f"of {', '.join(STEPS)}; all of them without one")
    parser.add_argument("--models", nargs="+", choices=[case.name for case in CASES], help="all without it")
    parser.add_argument("--again", action="store_true", help="also what was done before")
    asked = parser.parse_args(arguments)
    unknown = next((step for step in asked.steps if step not in STEPS), None)
    if unknown:
        parser.error(f"no step is named {unknown!r}; there are {', '.join(STEPS)}")
    steps = asked.steps or STEPS
    for case in CASES:
        if not asked.models or case.name in asked.models:
            _take(steps, case, again=asked.again)
    if "table" in steps:
        write_json(FOUND, {case.name: found for case in CASES if (found := _found(case))})
        write_table()
    return 0


def _take(steps: Sequence[str], case: Case, *, again: bool) -> None:
    folder = DATA / case.name
    if "ours" in steps and (again or not (folder / "ours.json").exists()):
        _say(f"{case.name}: ours")
        make_ours(case, folder)
    if "theirs" in steps:
        for tool in TOOLS:
            if not again and (folder / tool.name / "made.json").exists():
                continue
            _say(f"{case.name}: {tool.name}")
            try:
                failures = make_theirs(tool, case, folder, _say)
            except (OSError, subprocess.SubprocessError) as error:
                failures = {"all": f"{error}: {getattr(error, 'stderr', '')}"}
            for kind, why in failures.items():
                _say(f"{case.name}: {tool.name}, {kind}: {why}")
    if "duel" in steps and (again or not (folder / "duel.json").exists()):
        _say(f"{case.name}: side by side")
        duel(case, folder)


def _found(case: Case) -> dict[str, object]:
    paths = {name: DATA / case.name / f"{name}.json" for name in ("ours", "duel")}
    return {name: read_json(path) for name, path in paths.items() if path.exists()}


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
