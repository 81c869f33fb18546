"""The scripts of the page, and the policy that lets these run and nothing else."""

from __future__ import annotations

import base64
import gzip
import hashlib
from functools import cache
from typing import TYPE_CHECKING, Any

from pytest_inferopt.reporters._templates import template_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["CHART_CONFIG", "chart_library", "data_json", "own_script", "packed_chart_library", "policy", "style_sheet"]

# Colours are the style sheet's, so a change of scheme needs no redrawing.
CHART_CONFIG: dict[str, Any] = {
    "background": None,
    "font": 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif',
    "view": {"stroke": None},
    "padding": 4,
    "axis": {
        "domainColor": "var(--line-strong)",
        "gridColor": "var(--line)",
        "gridDash": [2, 3],
        "labelColor": "var(--muted)",
        "labelFontSize": 11,
        "labelFlush": False,
        "labelOverlap": "greedy",
        "tickColor": "var(--line-strong)",
        "tickSize": 4,
        "titleColor": "var(--muted)",
        "titleFontSize": 11,
        "titleFontWeight": 500,
        "titlePadding": 8,
    },
    "axisX": {"grid": False},
    "legend": {"labelColor": "var(--ink)", "labelFontSize": 11, "offset": 4},
    "text": {"fontSize": 11},
}


@cache
def chart_library() -> str:
    """Vega, Vega-Lite and Vega-Embed with the interpreter of expressions, as vl-convert ships them: 0.9 MB."""
    import altair as alt
    import vl_convert

    # Altair says "v6.4.1", vl-convert "6.4".
    wanted = alt.SCHEMA_VERSION.removeprefix("v").rpartition(".")[0]
    known = vl_convert.get_vegalite_versions()
    version = wanted if wanted in known else known[-1]
    # The stub asks for a snippet, which has a default: the libraries as globals.
    return vl_convert.javascript_bundle(vl_version=version)  # type: ignore[call-arg]


@cache
def packed_chart_library() -> str:
    """The library in a third of its size: gzip, then Base64; the page unpacks it, and the policy knows its digest."""
    return base64.b64encode(gzip.compress(chart_library().encode(), mtime=0)).decode()


@cache
def own_script() -> str:
    """What draws the charts and sorts the tables."""
    return (template_folder() / "report.js").read_text(encoding="utf-8")


@cache
def style_sheet() -> str:
    """How the page looks."""
    return (template_folder() / "report.css").read_text(encoding="utf-8")


def policy(scripts: Sequence[str], styles: Sequence[str]) -> str:
    """A Content-Security-Policy under which just these inline scripts and styles run, and nothing is loaded.

    Each is named by the digest of its text (https://www.w3.org/TR/CSP3/#external-hash); ``unsafe-eval`` is not needed,
    since Vega's interpreter evaluates expressions without it.
    """
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {' '.join(map(_digest, scripts))}",
            f"style-src {' '.join(map(_digest, styles))}",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def data_json(value: Any) -> str:
    """JSON that may stand in a script element: no tag can end it, and no character in it is more than its escape."""
    import json

    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
