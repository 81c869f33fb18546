"""What each script here is called with: ``FLOAT.onnx CALIBRATION.npz FOLDER transformer|other``.

The scripts run where nothing of this repository is installed.
"""

import json
import sys
import traceback
from pathlib import Path

import numpy as np

SOURCE, CALIBRATION, FOLDER = (Path(argument) for argument in sys.argv[1:4])
IS_TRANSFORMER = sys.argv[4] == "transformer"
ROWS_AT_A_TIME = 16


def feeds():
    """The calibration rows, a few at a time."""
    rows = dict(np.load(CALIBRATION))
    count = len(next(iter(rows.values())))
    for begin in range(0, count, ROWS_AT_A_TIME):
        yield {name: array[begin : begin + ROWS_AT_A_TIME] for name, array in rows.items()}


def make(**makers):
    """Make ``FOLDER/<kind>.onnx`` by each maker, and keep why there is none."""
    failures = {}
    for kind, maker in makers.items():
        target = FOLDER / f"{kind}.onnx"
        target.unlink(missing_ok=True)
        try:
            maker(target)
        except Exception as error:  # noqa: BLE001 - whatever a tool raises is what it has to say
            traceback.print_exc()
            failures[kind] = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
    (FOLDER / "made.json").write_text(json.dumps(failures, indent=1))
