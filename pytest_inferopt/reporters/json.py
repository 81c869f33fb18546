"""The report as a document, for whatever reads it next."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, ClassVar

from pytest_inferopt.domain.plugins import Reporter

if TYPE_CHECKING:
    from pytest_inferopt.domain.report import Report

__all__ = ["Json"]


class Json(Reporter):
    """The whole report as JSON with its schema version; the raw samples lie beside it as NumPy archives.

    `pytest_inferopt.domain.report.parse_report` reads it back. A figure that was not measured is null; there is no NaN.
    """

    name: ClassVar[str] = "json"
    file_name: ClassVar[str] = "report.json"
    carries_samples: ClassVar[bool] = True

    def render(self, report: Report) -> str:
        """Two spaces an indent, keys in the schema's order, a line end at the end."""
        return json.dumps(report.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
