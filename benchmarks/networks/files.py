"""Where things lie. What is made again at will is in ``data/``, which is not committed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
DATA = HERE / "data"
FOUND = HERE / "found.json"
TABLE = HERE / "table.md"
CHART = HERE / "networks.svg"


def write_json(path: Path, document: Any) -> None:
    """Write a document."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read one."""
    return json.loads(path.read_text(encoding="utf-8"))
