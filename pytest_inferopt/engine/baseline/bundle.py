"""Baselines in one file that can be kept, sent and unpacked elsewhere: a zip of manifests, models and an index.

The same baselines make the same bytes. No rows and no samples are inside. Whoever unpacks one may have it from anybody,
so every name, size and digest is checked, and nothing is put away before all of it is.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import stat
import zipfile
from typing import TYPE_CHECKING, Any

from pytest_inferopt._version import __version__
from pytest_inferopt.domain.baseline import Manifest, manifest_text, parse_manifest
from pytest_inferopt.domain.text import printable
from pytest_inferopt.engine.baseline.manifests import MAX_MANIFEST_BYTES, Baselines, entry_name, key_of
from pytest_inferopt.engine.store.archive import ArchiveKind, check_member, checked_members, open_archive
from pytest_inferopt.engine.store.files import open_plain, plain_sha256, replacing
from pytest_inferopt.engine.store.folder import MAX_BYTES, Store, kept_name
from pytest_inferopt.engine.store.pruning import BASELINES
from pytest_inferopt.errors import NotMeasuredError, RefusedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from zipfile import ZipFile, ZipInfo

__all__ = ["SCHEMA_VERSION", "export_bundle", "import_bundle", "open_bundle"]

SCHEMA_VERSION = 1
INDEX = "index.json"
MODELS = "models"
# The first moment that a zip can tell: when a bundle was written is no part of it.
EPOCH = (1980, 1, 1, 0, 0, 0)
NAMES = (
    re.compile(r"index\.json"),
    re.compile(r"baselines/[a-z0-9-]{16,64}/[a-z0-9-]{7,100}\.json"),
    re.compile(r"models/[0-9a-f]{64}(\.[A-Za-z0-9_]{1,16})?"),
)
# Other programs list folders too.
FOLDER_NAME = re.compile(r"(baselines|baselines/[a-z0-9-]{16,64}|models)/")
MAX_FILES = 10_000
EXPORT_AGAIN = "Export the bundle again."


def export_bundle(manifests: Iterable[Manifest], baselines: Baselines, path: Path) -> None:
    """Write baselines into one file; what was there stays until all of it is written.

    Args:
        manifests: which.
        baselines: where they are.
        path: the bundle.

    Raises:
        NotMeasuredError: a model is missing or damaged, or the bundle cannot be written.
    """
    documents: dict[str, bytes] = {}
    models: dict[str, tuple[Path, str]] = {}
    for manifest in manifests:
        documents[_manifest_name(manifest)] = manifest_text(manifest).encode()
        for file in (file for variant in manifest.variants.values() for file in variant.files):
            models[f"{MODELS}/{kept_name(file.sha256, file.name)}"] = (baselines.model_path(file), file.sha256)
    for place, digest in models.values():
        if plain_sha256(place) != digest:
            raise NotMeasuredError(f"{place} is missing or damaged, and a baseline needs it.", "Save it again.")
    index = {
        "schema_version": SCHEMA_VERSION,
        "tool_version": __version__,
        "files": {name: hashlib.sha256(text).hexdigest() for name, text in sorted(documents.items())}
        | {name: digest for name, (_, digest) in sorted(models.items())},
    }
    with replacing(path) as stream, zipfile.ZipFile(stream, "w") as bundle:
        bundle.writestr(_info(INDEX), json.dumps(index, indent=1) + "\n")
        for name, text in sorted(documents.items()):
            bundle.writestr(_info(name), text)
        for name, (place, _) in sorted(models.items()):
            with open_plain(place) as content, bundle.open(_info(name, place.stat().st_size), "w") as target:
                shutil.copyfileobj(content, target)


def import_bundle(path: Path, into: Baselines) -> list[Manifest]:
    """Put all baselines of a bundle into a store, as they are; all of them, or none where anything is wrong.

    Raises:
        RefusedError: it holds what no bundle does, or far too much.
        NotMeasuredError: it cannot be read, or is damaged or incomplete.
        UsageError: a newer version wrote it.
    """
    with into.store.working_folder() as folder:
        manifests, models = _unpacked(path, folder)
        return [into.restore(manifest, models) for manifest in manifests]


def open_bundle(path: Path, folder: Path) -> Baselines:
    """Unpack a bundle into an empty working folder; raises as `import_bundle` does."""
    baselines = Baselines(Store(folder))
    import_bundle(path, baselines)
    return baselines


def _manifest_name(manifest: Manifest) -> str:
    return f"{BASELINES}/{key_of(manifest)}/{entry_name(manifest)}"


def _info(name: str, size: int = 0) -> ZipInfo:
    """A member that says nothing of the machine or the moment."""
    info = zipfile.ZipInfo(name, EPOCH)
    info.external_attr = (stat.S_IFREG | 0o644) << 16
    info.create_system = 3
    info.file_size = size
    return info


def _kind() -> ArchiveKind:
    return ArchiveKind("a bundle", EXPORT_AGAIN, MAX_FILES, MAX_BYTES, _is_place, _is_folder)


def _is_place(name: str) -> bool:
    return any(pattern.fullmatch(name) for pattern in NAMES)


def _is_folder(name: str) -> bool:
    return FOLDER_NAME.fullmatch(name) is not None


def _unpacked(path: Path, folder: Path) -> tuple[list[Manifest], dict[str, Path]]:
    """A bundle's manifests, and where its models lie now, by their digests."""
    if not path.is_file():
        raise NotMeasuredError(f"{path} is no file.", "Name a bundle, or the folder that one was unpacked into.")
    with open_archive(path, _kind()) as bundle:
        return _content(bundle, folder, path)


def _content(bundle: ZipFile, folder: Path, path: Path) -> tuple[list[Manifest], dict[str, Path]]:
    # First of all: a newer version may have other names and other limits.
    listed = _listed(bundle, path)
    members = checked_members(bundle, path, _kind())
    for info in members.values():
        _check_size(info, path)
    manifests, models = [], {}
    for name, digest in _digests(listed, members, path).items():
        target = folder / name.rpartition("/")[2]
        with bundle.open(members[name]) as content, replacing(target) as stream:
            shutil.copyfileobj(content, stream)
        if plain_sha256(target) != digest:
            raise NotMeasuredError(f"{path} is damaged: '{name}' is not what was written.", EXPORT_AGAIN)
        if name.startswith(MODELS):
            models[target.name.partition(".")[0]] = target
        else:
            manifest = parse_manifest(target.read_bytes(), where=f"{path}: {name}")
            if name != _manifest_name(manifest):
                raise RefusedError(f"{path}: '{name}' is a baseline of another test or commit.", EXPORT_AGAIN)
            manifests.append(manifest)
    for manifest in manifests:
        for file in (file for variant in manifest.variants.values() for file in variant.files):
            if file.sha256 not in models:
                raise NotMeasuredError(
                    f"{path} is incomplete: '{file.name}' of {printable(manifest.name)} is not in it.", EXPORT_AGAIN
                )
    return manifests, models


def _check_size(info: ZipInfo, path: Path) -> None:
    """Refuse a document that is far larger than any that we write."""
    if not info.filename.startswith(MODELS) and info.file_size > MAX_MANIFEST_BYTES:
        raise RefusedError(f"{path} holds '{printable(info.filename)}' of {info.file_size:,} bytes.", EXPORT_AGAIN)


def _listed(bundle: ZipFile, path: Path) -> dict[str, Any]:
    """What the index lists."""
    if INDEX not in bundle.namelist():
        raise RefusedError(f"{path} is no bundle of pytest-inferopt: there is no '{INDEX}' in it.")
    check_member(bundle.getinfo(INDEX), path, _kind())
    _check_size(bundle.getinfo(INDEX), path)
    try:
        document: Any = json.loads(bundle.read(INDEX))
    except (ValueError, RecursionError) as error:
        raise NotMeasuredError(f"{path} is damaged: '{INDEX}' is no JSON.", EXPORT_AGAIN) from error
    version = document.get("schema_version") if isinstance(document, dict) else None
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise UsageError(
            f"{path} has schema version {version}, and this pytest-inferopt ({__version__}) reads up to "
            f"{SCHEMA_VERSION}.",
            "Upgrade: pip install --upgrade pytest-inferopt.",
        )
    files = document.get("files") if isinstance(document, dict) else None
    if not isinstance(version, int) or not isinstance(files, dict):
        raise NotMeasuredError(f"{path} is damaged: '{INDEX}' lists no files.", EXPORT_AGAIN)
    return files


def _digests(listed: dict[str, Any], members: dict[str, ZipInfo], path: Path) -> dict[str, str]:
    """The digest of each file that is to be unpacked, by name; all of them are there, and nothing else is."""
    if more := sorted(members.keys() - listed.keys() - {INDEX}):
        raise RefusedError(f"{path} holds '{more[0]}', which its index does not list.", EXPORT_AGAIN)
    if less := sorted(listed.keys() - members.keys()):
        raise NotMeasuredError(f"{path} is incomplete: '{printable(less[0])}' is not in it.", EXPORT_AGAIN)
    # A model's name is its digest, whatever the index says.
    return {
        name: name.rpartition("/")[2].partition(".")[0] if name.startswith(MODELS) else str(digest)
        for name, digest in listed.items()
        if name != INDEX
    }
