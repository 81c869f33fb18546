"""Reading what was stored: a damaged document, one of something else, and one of a newer version are told apart."""

from __future__ import annotations

import json
from typing import Any, NamedTuple, TypeVar

from pydantic import ValidationError

from pytest_inferopt._version import __version__
from pytest_inferopt.domain.record import Record
from pytest_inferopt.errors import NotMeasuredError, UsageError

__all__ = ["Stored"]

R = TypeVar("R", bound=Record)


class Stored(NamedTuple):
    """One kind of document.

    Attributes:
        what: it is, in a word.
        newest: the last schema version that this program knows; it reads all that came before.
        again: what to do where one cannot be read.
    """

    what: str
    newest: int
    again: str

    def document(self, text: str | bytes, *, where: str) -> dict[str, Any]:
        """The JSON of a document that names a schema version.

        Raises:
            NotMeasuredError: it is none.
        """
        try:
            document = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise NotMeasuredError(f"{where}: not valid JSON ({error}).", self.again) from error
        if not isinstance(document, dict) or not isinstance(document.get("schema_version"), int):
            raise NotMeasuredError(f"{where}: no {self.what} of pytest-inferopt (it names no schema_version).")
        return document

    def record(self, kind: type[R], document: dict[str, Any], *, where: str) -> R:
        """The record of a document; fields that this version does not know are kept.

        Raises:
            UsageError: a newer version wrote it.
            NotMeasuredError: its fields are not what they should be.
        """
        version = document["schema_version"]
        if version > self.newest:
            raise UsageError(
                f"{where} has schema version {version}, and this pytest-inferopt ({__version__}) reads up to "
                f"{self.newest}.",
                "Upgrade: pip install --upgrade pytest-inferopt.",
            )
        try:
            return kind.model_validate(document)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(map(str, first["loc"]))
            raise NotMeasuredError(f"{where}: {place}: {first['msg']}.", self.again) from None
