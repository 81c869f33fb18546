"""Steps that need not be done again: found by all that their outcome depends on.

A key is the digest of the model's content, the rows that a step sees, the step and its options, the code of the
plugins, the installed versions and the processor's instruction set. Whatever changes any of these makes another key;
what has no digest has no key, and is done again.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_inferopt.domain.environment import Environment
from pytest_inferopt.engine.store.code import source_digest

if TYPE_CHECKING:
    from pytest_inferopt.domain.request import OptimizationRequest, TechniqueSpec
    from pytest_inferopt.engine.store.folder import Document, Store
    from pytest_inferopt.registry import Registry

__all__ = ["StepCache"]

SCHEMA_VERSION = 1
OPENING = ("frameworks", "runtimes")
"""The kinds of plugin that make or open a model, whichever step is done."""


class StepCache:
    """The finished steps of a store, as one request sees them.

    Args:
        store: where they are kept.
        registry: the plugins, whose code is a part of every key.
        request: its opset, seed, threads and provider are a part of every key.
        is_read: whether steps are found; what is done is kept in any case.
    """

    def __init__(self, store: Store, registry: Registry, request: OptimizationRequest, *, is_read: bool = True) -> None:
        self._store = store
        self._is_read = is_read
        self._registry = registry
        self._request = request
        self._keys: dict[str, str | None] = {}

    def start(
        self, artifact: str, *, fingerprint: str | None, code: str | None, rows: str | None, training: str | None
    ) -> None:
        """Say what the original depends on, and so all that is made of it; None is what has no digest.

        Args:
            artifact: what it is called.
            fingerprint: a digest of its content.
            code: of the code that its content names.
            rows: of the rows that steps see.
            training: of the training rows.
        """
        parts = [fingerprint, code, rows, training]
        self._keys[artifact] = None if None in parts else _digest([*parts, self._surroundings()])

    def find(self, source: str, target: str, step: TechniqueSpec) -> Document | None:
        """What `keep` was given for this step on this source; None if it is to be done.

        Args:
            source: the artifact that goes in; one that was started, or the target of an earlier `find`.
            target: what the outcome will be called.
            step: what is done.
        """
        parent = self._keys.get(source)
        spec = step.model_dump(mode="json")
        key = None if parent is None else _digest([parent, spec, self._code_of(step)])
        self._keys[target] = key
        if key is None or not self._is_read:
            return None
        entry = self._store.get("steps", key)
        if entry is None or entry.pop("digest", None) != _digest([entry]):
            return None
        path = self._store.find(entry["sha256"], entry["suffix"])
        return None if path is None else {**entry["done"], "path": str(path), "made_at": entry["made_at"]}

    def keep(self, target: str, done: Document) -> None:
        """Keep a step's outcome: the worker's answer, whose file stands alone and whose artifact can be adopted."""
        key = self._keys.get(target)
        if key is None or done["artifact"] is None:
            return
        path, digest = self._store.keep(Path(done["path"]))
        entry = {
            "schema_version": SCHEMA_VERSION,
            "sha256": digest,
            "suffix": path.suffix,
            "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "done": {name: value for name, value in done.items() if name != "path"},
        }
        self._store.put("steps", key, {**entry, "digest": _digest([entry])})

    def _surroundings(self) -> list[Any]:
        request, here = self._request, Environment.here()
        return [
            SCHEMA_VERSION,
            [request.opset, request.random_seed, request.threads, request.provider],
            [here.python, here.system, list(here.isa_flags), here.libraries],
            sorted(
                source_digest(found.__module__) for kind in OPENING for found in self._registry.plugins[kind].values()
            ),
        ]

    def _code_of(self, step: TechniqueSpec) -> str:
        """The digest of a technique's code; the conversion's is the frameworks'."""
        if step.name not in self._registry.names("techniques"):
            return ""
        return source_digest(type(self._registry.technique(step)).__module__)


def _digest(parts: list[Any]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()
