"""What every stored record is: immutable, and it keeps fields that it does not know."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator

__all__ = ["Interval", "Record"]


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", errors="backslashreplace").decode()
    if isinstance(value, dict):
        return {_without_surrogates(key): _without_surrogates(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_surrogates(item) for item in value]
    return tuple(map(_without_surrogates, value)) if isinstance(value, tuple) else value


class Record(BaseModel):
    """A stored record: immutable, and it keeps fields that it does not know."""

    model_config = ConfigDict(frozen=True, extra="allow", ser_json_inf_nan="null")

    @model_validator(mode="before")
    @classmethod
    def _storable(cls, value: Any) -> Any:
        """Escape what UTF-8 cannot hold: bytes of a command line or path that were no text."""
        return {name: _without_surrogates(item) for name, item in value.items()} if isinstance(value, dict) else value


class Interval(Record):
    """A confidence interval and where it comes from; a limit that the sample cannot carry is None."""

    low: float | None
    high: float | None
    level: float = 0.95
    method: str = ""
