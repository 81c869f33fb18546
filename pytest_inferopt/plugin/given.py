"""What the command line gave: the options of ours that were set, with their values parsed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_inferopt.domain.request import parse_request
from pytest_inferopt.errors import UsageError
from pytest_inferopt.options import OPTIONS, Option, dest
from pytest_inferopt.settings import check_is_built

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pytest

__all__ = ["fields_given", "options_given", "others_given"]

WHERE = "command line"


def fields_given(config: pytest.Config, project: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a request that the command line sets, over those that the project does.

    Raises:
        UsageError: a value cannot be read, is out of range, or asks for what this version cannot do.
    """
    given = {option.field: value for option, value in _given(config) if option.field is not None}
    fields = {key: value for key, value in project.items() if key not in {"report", "store"}} | given
    check_is_built(parse_request(fields, where=WHERE), where=WHERE)
    return fields


def others_given(config: pytest.Config) -> dict[str, Any]:
    """What the command line sets beside, by flag.

    Raises:
        UsageError: a value cannot be read.
    """
    return {option.flag: value for option, value in _given(config) if option.field is None}


def options_given(config: pytest.Config) -> list[str]:
    """The options that set a field of a request, as they would be written again."""
    written = []
    for option in OPTIONS:
        text = config.getoption(dest(option))
        if option.field is None or text is None or text is False:
            continue
        texts = text if isinstance(text, list) else [text]
        written += [option.flag] if text is True else [f"{option.flag}={one}" for one in texts]
    return written


def _given(config: pytest.Config) -> list[tuple[Option, Any]]:
    texts = ((option, config.getoption(dest(option))) for option in OPTIONS)
    return [(option, _parsed(option, text)) for option, text in texts if text is not None and text is not False]


def _parsed(option: Option, text: Any) -> Any:
    if option.parse is None:
        return True
    try:
        if option.is_repeatable:
            return tuple(option.parse(one) for one in text)
        return option.parse(text)
    except ValueError as error:
        raise UsageError(f"{option.flag}={text!r} cannot be read: {error}.") from None
