"""A baseline as it is put away: which files a test's variants were at a commit, and what was known of them.

A stored manifest names the digest of all the rest of it, in every version, so that whoever reads it can tell a damaged
one from one that a newer version wrote.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

from pydantic import Field, field_validator

from pytest_inferopt._version import __version__
from pytest_inferopt.domain.environment import Environment
from pytest_inferopt.domain.measured import Accuracy
from pytest_inferopt.domain.record import Record
from pytest_inferopt.domain.stored import Stored
from pytest_inferopt.errors import NotMeasuredError

__all__ = ["SCHEMA_VERSION", "BaselineFile", "BaselineVariant", "Manifest", "manifest_text", "parse_manifest"]

SCHEMA_VERSION = 1
DIGEST = "digest"
MAX_PART_BYTES = 255
MAX_NAME_BYTES = 1024
AGAIN = "Save the baseline again."
STORED = Stored("baseline", SCHEMA_VERSION, AGAIN)


class BaselineFile(Record):
    """One file of a variant, addressed by its content.

    Attributes:
        name: what the other files of the variant call it: a plain name, or a path below the model's folder with ``/``.
        sha256: the digest of its content, `size_bytes` how long it is.
    """

    name: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    size_bytes: int = Field(ge=0)

    @field_validator("name")
    @classmethod
    def _stays_inside(cls, name: str) -> str:
        """Refuse a name that leads out of the folder it is laid into, or that no filesystem takes."""
        parts = name.split("/")
        is_plain = all(part not in {"", ".", ".."} and len(part.encode()) <= MAX_PART_BYTES for part in parts)
        if not is_plain or not name.isprintable() or "\\" in name or len(name.encode()) > MAX_NAME_BYTES:
            raise ValueError("it is no plain file name")
        return name

    @property
    def suffix(self) -> str:
        """Of its name: ``.onnx``."""
        return PurePosixPath(self.name).suffix


class BaselineVariant(Record):
    """What a variant was.

    Attributes:
        format: of its files.
        files: the model first, then what it keeps beside it, such as external weights.
        sha256: the digest that says whether a candidate is the same model.
        artifact: what a process needs beside the files to run it.
        accuracy: what was measured of it.
    """

    format: str
    files: tuple[BaselineFile, ...] = Field(min_length=1)
    sha256: str
    artifact: dict[str, Any]
    accuracy: Accuracy | None = None

    @field_validator("files")
    @classmethod
    def _differ(cls, files: tuple[BaselineFile, ...]) -> tuple[BaselineFile, ...]:
        """Refuse two files of one name."""
        if len({file.name for file in files}) < len(files):
            raise ValueError("two files have the same name")
        return files

    @property
    def size_bytes(self) -> int:
        """Of all its files."""
        return sum(file.size_bytes for file in self.files)


class Manifest(Record):
    """The baseline of one test and name at one commit.

    Attributes:
        test_id: the test; `name` is what it calls its model.
        commit: the full hash; None outside of a repository. `is_dirty` says whether tracked files differed from it.
        saved_at: when it was put away, ISO 8601 in UTC.
        accepted_at: when somebody said that it is the new baseline; None where it was only recorded on the way. Never
            earlier than an earlier acceptance in the same store, so that the newest is the newest whatever clocks say.
        request: what was asked, as its document.
        environment: the machine that made it.
        variants: by name; only those that had a file that could be run.
    """

    schema_version: int = SCHEMA_VERSION
    tool_version: str = __version__
    test_id: str
    name: str
    commit: str | None = None
    branch: str | None = None
    committed_at: str | None = None
    is_dirty: bool = False
    saved_at: str = Field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    accepted_at: str | None = None
    request: dict[str, Any] = Field(default_factory=dict)
    environment: Environment
    variants: dict[str, BaselineVariant]


def manifest_text(manifest: Manifest) -> str:
    """A manifest's JSON as it is stored, with its digest and with all fields that this version does not know."""
    document = json.loads(manifest.model_dump_json())
    document.pop(DIGEST, None)
    return json.dumps({**document, DIGEST: _digest(document)}, indent=1, allow_nan=False) + "\n"


def parse_manifest(text: str | bytes, *, where: str) -> Manifest:
    """Read a manifest's JSON; fields that this version does not know are kept.

    Args:
        text: the document.
        where: what it was read from, for the message.

    Raises:
        UsageError: a newer version wrote it.
        NotMeasuredError: it is none, or is damaged.
    """
    document = STORED.document(text, where=where)
    told = document.pop(DIGEST, None)
    # Before the version is believed: a damaged figure there must not pass for a newer program's document.
    if told != _digest(document) and (told is not None or document["schema_version"] <= SCHEMA_VERSION):
        raise NotMeasuredError(f"{where} is damaged: its content is not what was written.", AGAIN)
    return STORED.record(Manifest, document, where=where)


def _digest(document: dict[str, Any]) -> str:
    """The SHA-256 of a document's values, whatever the order and the spaces they are written with."""
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
