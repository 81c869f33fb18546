"""The gate's figures on real replicates: recorded, judged, lived through, and beside other tools.

Run ``python -m benchmarks.gate``, or one step of it: ``record``, ``tune``, ``judge``, ``live``, ``versions``,
``table``. Whatever takes long is kept in ``benchmarks/gate/data/`` and goes on where it was stopped; ``judge`` and
``table`` need only the files beside this one. On two processors ``record`` takes two hours and ``live`` half a one.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from typing import TYPE_CHECKING, Any

from benchmarks.gate.files import DATA
from benchmarks.gate.judge import judge_recording
from benchmarks.gate.live import run_live
from benchmarks.gate.record import record, tune
from benchmarks.gate.series import CONDITIONS, MODELS
from benchmarks.gate.table import write_table
from benchmarks.gate.versions import run_versions

if TYPE_CHECKING:
    from collections.abc import Sequence

STEPS = ("record", "tune", "judge", "live", "versions", "table")


def main(arguments: Sequence[str] | None = None) -> int:
    """Take the steps that are named, or all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gate", description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("steps", nargs="*", metavar="STEP", help=f"of {', '.join(STEPS)}; all of them without one")
    parser.add_argument("--minutes", type=float, default=math.inf, help="for record, and for live; all that it takes")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS, help="to record and to live through")
    parser.add_argument("--conditions", nargs="+", choices=CONDITIONS, default=CONDITIONS, help="likewise")
    asked = parser.parse_args(arguments)
    choice: dict[str, Any] = {"minutes": asked.minutes, "models": asked.models, "conditions": asked.conditions}
    unknown = next((step for step in asked.steps if step not in STEPS), None)
    if unknown:
        parser.error(f"no step is named {unknown!r}; there are {', '.join(STEPS)}")
    take = {
        "record": lambda: record(DATA, **choice, say=_say),
        "tune": lambda: _tune(choice),
        "judge": lambda: judge_recording(DATA, say=_say),
        "live": lambda: run_live(DATA, **choice, say=_say),
        "versions": lambda: run_versions(DATA, say=_say),
        "table": write_table,
    }
    for step in STEPS:
        if not asked.steps or step in asked.steps:
            take[step]()
    return 0


def _tune(choice: dict[str, Any]) -> None:
    """Record again what is far from what was wanted."""
    tune(DATA, models=choice["models"], say=_say)
    record(DATA, **choice, say=_say)


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
