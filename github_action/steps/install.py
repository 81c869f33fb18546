"""Second step: the package, from the very checkout that the Action stands in, with the extras that were asked for.

Nothing is installed where this code is importable already with all that it and its extras need: an image of one's own
that has it, or a repository that tests a fork of the Action.
"""

from __future__ import annotations

import hashlib
import importlib.util
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steps.plan import MEASURING, read_plan
from steps.workflow import StepError, say

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["run"]

CHECKOUT = Path(__file__).resolve().parents[2]
PACKAGE = "pytest_inferopt"
COMMENT = "github"  # the extra that a comment needs
DISTRIBUTION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def run() -> int:
    """Install, or say why nothing has to be.

    Raises:
        StepError: the installer failed, or there is none; or an extra is not known.
    """
    plan = read_plan()
    extras = tuple(dict.fromkeys([COMMENT, *(plan.inputs.extras if plan.activity in MEASURING else ())]))
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    missing = sorted(_missing(_requirements(project, extras)))
    if not missing and _is_this_code(_importable()):
        say(f"{PACKAGE} is importable in this version with all that it needs; nothing is installed.")
        return 0
    target = f"{CHECKOUT}[{','.join(extras)}]"
    command = [*_installer(), target]
    say(f"$ {' '.join(command)}")
    if subprocess.run(command, check=False).returncode:
        raise StepError(
            f"{target} could not be installed into {sys.executable}; the installer's own words stand above.",
            "Where this Python takes no packages, set the input python-version, or run actions/setup-python before.",
        )
    return 0


def _requirements(project: dict[str, Any], extras: Sequence[str]) -> list[str]:
    """What the package and some of its extras require."""
    known: dict[str, list[str]] = project["optional-dependencies"]
    for extra in extras:
        if extra not in known:
            raise StepError(f"input extras: there is no extra {extra!r}.", f"Known: {', '.join(known)}.")
    return [*project["dependencies"], *(one for extra in extras for one in known[extra])]


def _missing(requirements: Iterable[str]) -> Iterable[str]:
    """The names of the requirements that are not installed; their versions are the installer's business."""
    for requirement in requirements:
        name = DISTRIBUTION.match(requirement)
        try:
            version(name[0] if name else requirement)
        except PackageNotFoundError:
            yield requirement


def _importable() -> Path | None:
    """The folder of the package that Python would import."""
    found = importlib.util.find_spec(PACKAGE)
    return None if found is None or found.origin is None else Path(found.origin).parent


def _is_this_code(folder: Path | None) -> bool:
    """Whether a package is that of the checkout, file by file."""
    own = CHECKOUT / PACKAGE
    return folder is not None and (folder == own or _digests(folder) == _digests(own))


def _digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*.py"))
    }


def _installer() -> list[str]:
    """A pip for this very Python; uv, where there is no other, as in an environment that uv made."""
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip", "install", "--disable-pip-version-check"]
    if (uv := shutil.which("uv")) is not None:
        return [uv, "pip", "install", "--python", sys.executable]
    raise StepError(f"{sys.executable} has no pip, and there is no uv.", "Run actions/setup-python before.")
