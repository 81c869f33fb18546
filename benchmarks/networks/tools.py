"""The tools that ours is held against: each makes files out of the same float file, in a Python of its own."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.networks.files import DATA, read_json, write_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.networks.cases import Case

PEERS = Path(__file__).parent / "peers"
OURS = "ours"
KINDS = ("dynamic", "static", "fp16")
INSTALL_SECONDS, MAKE_SECONDS = 900, 900


@dataclass(frozen=True)
class Tool:
    """One of the others.

    Attributes:
        name: in tables, and as a folder.
        script: of `peers`, which calls it.
        requirements: what its environment is made of; none for the one that runs this.
    """

    name: str
    script: str
    requirements: tuple[str, ...] = ()


TOOLS = (
    Tool("by hand", "by_hand.py"),
    Tool("NNCF", "with_nncf.py", ("nncf==3.4.0", "onnx==1.19.1", "onnxruntime==1.31.1")),
    Tool("Olive", "with_olive.py", ("olive-ai==0.13.0", "onnxruntime==1.31.1", "requests==2.34.2", "torch==2.13.0")),
)


def python_of(tool: Tool, say: Callable[[str], None]) -> str:
    """The interpreter of a tool, whose environment is made where it is missing.

    Raises:
        subprocess.SubprocessError: it cannot be made.
    """
    if not tool.requirements:
        return sys.executable
    place = DATA / "environments" / tool.name
    python, done = place / "bin" / "python", place / ".installed"
    wanted = "\n".join(tool.requirements)
    if not done.exists() or done.read_text(encoding="utf-8") != wanted:
        say(f"installing {' '.join(tool.requirements)}")
        for step in (
            [sys.executable, "-m", "venv", "--clear", str(place)],
            [str(python), "-m", "pip", "install", "--quiet", *tool.requirements],
        ):
            subprocess.run(step, check=True, capture_output=True, text=True, timeout=INSTALL_SECONDS)
        done.write_text(wanted, encoding="utf-8")
    return str(python)


def make_theirs(tool: Tool, case: Case, folder: Path, say: Callable[[str], None]) -> dict[str, str]:
    """Have a tool make its files of a network; by kind, why there is none."""
    target = folder / tool.name
    target.mkdir(parents=True, exist_ok=True)
    command = [
        python_of(tool, say),
        str(PEERS / tool.script),
        str(folder / "float.onnx"),
        str(folder / "calibration.npz"),
        str(target),
        "transformer" if case.is_transformer else "other",
    ]
    # onnxruntime's symbolic inference leaves files in the current folder.
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=MAKE_SECONDS, cwd=target)
    (target / "said.txt").write_text(done.stdout + done.stderr, encoding="utf-8")
    if not (target / "made.json").exists():
        write_json(target / "made.json", dict.fromkeys(KINDS, f"it ended with {done.returncode}: {done.stderr[-300:]}"))
    made: dict[str, str] = read_json(target / "made.json")
    return made


def files_of(kind: str, folder: Path) -> dict[str, Path]:
    """The file of each tool that made one, ours first."""
    places = {OURS: folder / "ours", **{tool.name: folder / tool.name for tool in TOOLS}}
    return {name: place / f"{kind}.onnx" for name, place in places.items() if (place / f"{kind}.onnx").exists()}


def failures_of(kind: str, folder: Path) -> dict[str, Any]:
    """Why a tool made none."""
    said = {tool.name: folder / tool.name / "made.json" for tool in TOOLS}
    return {name: read_json(path)[kind] for name, path in said.items() if path.exists() and kind in read_json(path)}
