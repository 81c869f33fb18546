"""Where a recording lies, and files that are whole or not there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
DATA = HERE / "data"
RECORDED = HERE / "recorded.npz"
JUDGED = HERE / "judged.json"
LIVE = HERE / "live.json"
VERSIONS = HERE / "versions.json"
TABLE = HERE / "table.md"
CHART = HERE / "peers.svg"


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that is complete from the moment it has its name, however the process ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(content)
    part.replace(path)


def write_json(path: Path, document: Any) -> None:
    """Write a document whole."""
    write_whole(path, (json.dumps(document, indent=1, sort_keys=True) + "\n").encode())


def read_json(path: Path) -> Any:
    """Read one."""
    return json.loads(path.read_text(encoding="utf-8"))
