"""Where another tool is ahead of ours on these networks, and why; looked into by hand."""

from __future__ import annotations

WHY: dict[tuple[str, str, str], str] = {}
