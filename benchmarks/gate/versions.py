"""Two versions of the runtime against each other, each in an interpreter of its own.

The same file under both. Beside it, as a control, the same version twice, which shows what two processes that take
turns do to a comparison.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.gate.files import VERSIONS, read_json, write_json
from benchmarks.gate.live import run_gate
from benchmarks.gate.making import files_of, make_files
from benchmarks.gate.networks import TRAINING_ROWS, digits
from benchmarks.gate.replicates import rows_file
from benchmarks.gate.series import SAME

if TYPE_CHECKING:
    from collections.abc import Callable

OLDER = "1.23.2"
MODELS = ("small", "forest", "mlp")
GATES = 1
INSTALL_SECONDS = 600


def run_versions(data: Path, *, say: Callable[[str], None] = print) -> None:
    """Run the gates that are still missing, and gather all in ``versions.json``, or the reason why there are none."""
    folder = data / "versions"
    newer = version("onnxruntime")
    arms = {f"{newer} twice": newer, f"{OLDER} to {newer}": OLDER}
    missing = [
        (model, arm, number)
        for model in MODELS
        for number in range(GATES)
        for arm in arms
        if not (folder / f"{model}.{arm}.{number}.json").exists()
    ]
    document: dict[str, Any] = {"older": OLDER, "newer": newer}
    with tempfile.TemporaryDirectory() as place:
        try:
            pythons = {newer: sys.executable, OLDER: _older(Path(place), say) if missing else ""}
        except (subprocess.SubprocessError, OSError) as error:
            said = getattr(error, "stderr", "") or str(error)
            document["skipped"] = f"onnxruntime {OLDER} could not be installed: {' '.join(said.split())[-300:]}"
            missing = []
            say(document["skipped"])
        for model, arm, number in missing:
            make_files(model, data, say)
            found = run_gate(
                files_of(model, SAME, data),
                name=model,
                seed=number,
                rows=rows_file(data, digits()[0][TRAINING_ROWS:]),
                pythons=(pythons[arms[arm]], sys.executable),
            )
            write_json(folder / f"{model}.{arm}.{number}.json", {"model": model, "arm": arm, **found})
            say(f"{model}, onnxruntime {arm}: {found['verdict']}: {found['reason']}")
    document["gates"] = [read_json(path) for path in sorted(folder.glob("*.json"))]
    write_json(VERSIONS, document)


def _older(place: Path, say: Callable[[str], None]) -> str:
    """An interpreter with the older version, in an environment that goes with the folder."""
    say(f"installing onnxruntime {OLDER}")
    python = place / "bin" / "python"
    steps = (
        [sys.executable, "-m", "venv", str(place)],
        [str(python), "-m", "pip", "install", "--quiet", f"onnxruntime=={OLDER}", f"numpy=={version('numpy')}"],
    )
    for step in steps:
        subprocess.run(step, check=True, capture_output=True, text=True, timeout=INSTALL_SECONDS)
    return str(python)
