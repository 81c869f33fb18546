"""``pytest-inferopt baseline``: look at what is kept to compare with, add to it, carry it elsewhere, thin it out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pytest_inferopt.cli.output import AsJson, print_json, print_lines, print_table
from pytest_inferopt.cli.places import StorePath, store_at
from pytest_inferopt.domain.comparison import SHORT_COMMIT
from pytest_inferopt.domain.text import printable
from pytest_inferopt.domain.words import NOTHING, size_text
from pytest_inferopt.engine.baseline.bundle import export_bundle, import_bundle
from pytest_inferopt.engine.baseline.latest import accept_latest, save_latest
from pytest_inferopt.engine.baseline.manifests import Baselines
from pytest_inferopt.engine.store.pruning import KEPT_ACCEPTED
from pytest_inferopt.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_inferopt.domain.baseline import Manifest
    from pytest_inferopt.engine.baseline.manifests import Entry

__all__ = ["app"]

app = typer.Typer(help="What candidates are compared with.", no_args_is_help=True, rich_markup_mode=None)

HEADS = ("test", "name", "commit", "branch", "saved", "accepted", "variants", "size")
MINUTES = 16  # of an ISO time, without its seconds


@app.command("list")
def list_(*, store: StorePath = None, json: AsJson = False) -> None:
    """Show all baselines of the store, with the problems of those that cannot be read."""
    place = store_at(store)
    entries = Baselines(place).entries()
    if json:
        print_json([_entry_document(entry) for entry in entries])
        return
    if not entries:
        print_lines([f"no baselines in {place.root}; a run of pytest --inferopt at a commit saves one."])
        return
    print_table(HEADS, [_row(entry.manifest) for entry in entries if entry.manifest is not None])
    print_lines([f"not readable: {entry.problem}" for entry in entries if entry.problem is not None])


@app.command()
def show(
    which: Annotated[str, typer.Argument(metavar="ENTRY|TEST", help="A commit, a test, or the name of a model.")],
    *,
    store: StorePath = None,
    json: AsJson = False,
) -> None:
    """Show everything that is known of the baselines of a commit or a test."""
    found = _matching(Baselines(store_at(store)).all(), which)
    if json:
        print_json([manifest.model_dump(mode="json") for manifest in found])
        return
    for manifest in found:
        print_lines(_lines(manifest))


@app.command()
def save(*, store: StorePath = None, json: AsJson = False) -> None:
    """Save the latest results as the baseline of HEAD's commit, if they were measured there."""
    _tell_saved(save_latest(store_at(store), Path.cwd()), "saved", json=json)


@app.command()
def accept(
    tests: Annotated[list[str] | None, typer.Argument(metavar="[TEST]...", help="Test ids or names; all.")] = None,
    *,
    store: StorePath = None,
    json: AsJson = False,
) -> None:
    """Accept the latest results as the baseline, without measuring again."""
    _tell_saved(accept_latest(store_at(store), Path.cwd(), tests or ()), "accepted", json=json)


@app.command("export")
def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", dir_okay=False, help="The bundle to write.")],
    *,
    commit: Annotated[str | None, typer.Option(help="Only the baselines of this commit.")] = None,
    test: Annotated[str | None, typer.Option(help="Only those of this test, or of the model of this name.")] = None,
    store: StorePath = None,
    json: AsJson = False,
) -> None:
    """Write baselines into one file that can be kept or sent."""
    baselines = Baselines(store_at(store))
    found = baselines.all()
    for which in filter(None, (commit, test)):
        found = _matching(found, which)
    if not found:
        raise UsageError(f"there are no baselines in {baselines.store.root}, so there is nothing to export.")
    for entry in baselines.entries():
        if entry.problem is not None:
            sys.stderr.write(f"pytest-inferopt: left out: {entry.problem}\n")
    export_bundle(found, baselines, file)
    size = file.stat().st_size
    if json:
        told = [_document(manifest) for manifest in found]
        print_json({"path": str(file), "size_bytes": size, "baselines": told})
        return
    print_lines([f"{file}: {_count(found)}, {size_text(size)}"])


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="The bundle to read.")],
    *,
    store: StorePath = None,
    json: AsJson = False,
) -> None:
    """Put all baselines of a bundle into the store; all of them, or none where anything is wrong."""
    _tell_saved(import_bundle(file, Baselines(store_at(store))), "imported", json=json)


@app.command()
def prune(
    *,
    keep: Annotated[int, typer.Option(min=1, help="How many accepted ones of each test stay.")] = KEPT_ACCEPTED,
    store: StorePath = None,
    json: AsJson = False,
) -> None:
    """Remove baselines that a month did not use, and all but the last accepted ones; then what no baseline needs."""
    place = store_at(store)
    is_there = place.root.is_dir()
    removed = Baselines(place).prune(keep=keep) if is_there else 0
    files = place.prune() if is_there else 0
    if json:
        print_json({"baselines_removed": removed, "files_removed": files})
        return
    print_lines([f"removed {removed} baselines, and {files} files that nothing needs any more."])


def _matching(manifests: Sequence[Manifest], which: str) -> list[Manifest]:
    """Those of a test, a name, or a commit, of which a beginning is enough."""
    found = [
        manifest
        for manifest in manifests
        if which in {manifest.test_id, manifest.name}
        or (len(which) >= SHORT_COMMIT and (manifest.commit or "").startswith(which))
    ]
    if not found:
        known = {name for manifest in manifests for name in (manifest.test_id, manifest.name) if name}
        raise UsageError(f"no baseline of {printable(which)};", did_you_mean(which, known))
    return found


def _tell_saved(manifests: Sequence[Manifest], done: str, *, json: bool) -> None:
    if json:
        print_json({done: [_document(manifest) for manifest in manifests]})
        return
    print_table(HEADS, [_row(manifest) for manifest in manifests])
    print_lines([f"{done} {_count(manifests)}."])


def _count(manifests: Sequence[Manifest]) -> str:
    return f"{len(manifests)} baseline{'' if len(manifests) == 1 else 's'}"


def _row(manifest: Manifest) -> tuple[str, ...]:
    return (
        manifest.test_id or NOTHING,
        manifest.name,
        _commit_text(manifest),
        manifest.branch or NOTHING,
        _minute(manifest.saved_at),
        _minute(manifest.accepted_at),
        ", ".join(manifest.variants),
        size_text(_size_bytes(manifest)),
    )


def _commit_text(manifest: Manifest) -> str:
    """``3f9c2e1``, with a ``+`` where tracked files had been changed."""
    return NOTHING if manifest.commit is None else manifest.commit[:SHORT_COMMIT] + "+" * manifest.is_dirty


def _minute(moment: str | None) -> str:
    return NOTHING if moment is None else moment.replace("T", " ")[:MINUTES]


def _size_bytes(manifest: Manifest) -> int:
    return sum(variant.size_bytes for variant in manifest.variants.values())


def _entry_document(entry: Entry) -> dict[str, Any]:
    told = {"path": str(entry.path), "problem": None if entry.problem is None else str(entry.problem)}
    return told if entry.manifest is None else {**told, **_document(entry.manifest)}


def _document(manifest: Manifest) -> dict[str, Any]:
    document = manifest.model_dump(mode="json", include=set(DOCUMENTED))
    return {
        **document,
        "size_bytes": _size_bytes(manifest),
        "variants": {
            name: {"format": variant.format, "sha256": variant.sha256, "size_bytes": variant.size_bytes}
            for name, variant in manifest.variants.items()
        },
    }


DOCUMENTED = ("test_id", "name", "commit", "branch", "is_dirty", "saved_at", "accepted_at")


def _lines(manifest: Manifest) -> list[str]:
    at = "outside of a repository" if manifest.commit is None else f"at {manifest.commit}"
    changed = ", with changed files" if manifest.is_dirty else ""
    branch = f" on {manifest.branch}" if manifest.branch else ""
    accepted = f", accepted {_minute(manifest.accepted_at)} UTC" if manifest.accepted_at else ""
    lines = [
        f"{manifest.name}" + (f" of {manifest.test_id}" if manifest.test_id else ""),
        f"  {at}{branch}{changed}",
        f"  saved {_minute(manifest.saved_at)} UTC by version {manifest.tool_version}{accepted}",
        f"  made on {manifest.environment.headline}, Python {manifest.environment.python}",
    ]
    for name, variant in manifest.variants.items():
        score = variant.accuracy
        told = "" if score is None or score.score is None else f", {score.metric} {score.score:.4f}"
        lines.append(f"  {name}: {variant.format}, {size_text(variant.size_bytes)}{told}")
        lines += [f"    {file.name} {file.sha256}" for file in variant.files]
    return lines
