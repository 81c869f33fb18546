"""The defaults of a project: ``[tool.inferopt]`` of its pyproject.toml, then the environment variables above it."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

from pytest_inferopt.domain.request import OptimizationRequest, parse_request
from pytest_inferopt.errors import UsageError, did_you_mean
from pytest_inferopt.options import ENVIRONMENT, LATER

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["check_is_built", "from_environment", "from_pyproject", "project_defaults"]

TABLE = "[tool.inferopt]"
OWN_KEYS = ("report", "store")
ONE_MODEL_ONLY = ("name", "model", "model_id")


def project_defaults(root: Path, environ: Mapping[str, str]) -> dict[str, Any]:
    """The request fields (and `report`, `store`) that a project sets, environment variables over the table.

    Raises:
        UsageError: a name is unknown or a value is wrong; the message says where it stands.
    """
    return {**from_pyproject(root / "pyproject.toml"), **from_environment(environ)}


def from_pyproject(path: Path) -> dict[str, Any]:
    """The fields of ``[tool.inferopt]``; none if there is no such file or table."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {error}.", "Mend the file; nothing was read from it.") from error
    tools = document.get("tool", {})
    table = tools.get("inferopt", {}) if isinstance(tools, dict) else {}
    if not isinstance(table, dict):
        raise UsageError(f"{TABLE} is {table!r}, and must be a table.", f"Write the line {TABLE}, then its fields.")
    _check_own_keys(table)
    fields = {key: value for key, value in table.items() if key not in OWN_KEYS}
    for name in ONE_MODEL_ONLY:
        if name in fields:
            raise UsageError(f"{TABLE} got {name!r}, which belongs to one model.", "Write it in that model's test.")
    unknown = [key for key in fields if key not in OptimizationRequest.model_fields and not key.endswith("_config")]
    if unknown:
        known = {*OptimizationRequest.model_fields, *OWN_KEYS} - {*ONE_MODEL_ONLY}
        raise UsageError(f"{TABLE} got {unknown[0]!r};", did_you_mean(unknown[0], known))
    check_is_built(parse_request(fields, where=TABLE), where=TABLE)
    return {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}


def _check_own_keys(table: Mapping[str, Any]) -> None:
    report, store = table.get("report", []), table.get("store", "")
    if not all(isinstance(name, str) for name in (report if isinstance(report, list) else [report])):
        raise UsageError(f"{TABLE} got report={report!r}.", 'Write a list of report types: ["terminal"].')
    if not isinstance(store, str):
        raise UsageError(f"{TABLE} got store={store!r}.", "Write the path of a folder.")


def from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    """The fields that environment variables set; an empty variable sets nothing."""
    fields = {}
    for variable, (field, parse) in ENVIRONMENT.items():
        text = environ.get(variable, "").strip()
        if not text:
            continue
        try:
            value = parse(text)
        except ValueError:
            kind = "a whole number" if parse is int or "integer" in parse.__name__ else "a number"
            raise UsageError(f"environment variable {variable}={text!r} is not {kind}.") from None
        parse_request({field: value}, where=f"environment variable {variable}")
        fields[field] = value
    return fields


def check_is_built(request: OptimizationRequest, *, where: str) -> None:
    """Refuse by name what this version cannot do; a default is never refused.

    Raises:
        UsageError: with the way out.
    """
    for field, reason in LATER.items():
        if field in request.model_fields_set:
            raise UsageError(f"{where}: {field} is set, but {reason}.")
    if request.optimizations == "auto":
        raise UsageError(
            f"{where}: optimizations='auto' is set, but the automatic search is not part of this version.",
            'Name the techniques: ["onnx_conversion", "quantization"].',
        )
