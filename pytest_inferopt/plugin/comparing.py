"""A session's baselines: where they come from, what of the session becomes one, and what is said of it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from pytest_inferopt.domain.comparison import SHORT_COMMIT
from pytest_inferopt.domain.report import GitState
from pytest_inferopt.engine.baseline.accepting import accept, record
from pytest_inferopt.engine.baseline.rebuild import RebuildPlan, rebuild
from pytest_inferopt.engine.baseline.source import BaselineSource
from pytest_inferopt.engine.git import git_state, top_level
from pytest_inferopt.engine.run import RunMode
from pytest_inferopt.errors import InferoptError, UsageError
from pytest_inferopt.plugin.given import options_given

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from pytest_inferopt.domain.baseline import Manifest
    from pytest_inferopt.domain.request import OptimizationRequest
    from pytest_inferopt.domain.result import RunResult
    from pytest_inferopt.engine.baseline.source import Absent
    from pytest_inferopt.engine.comparison.comparing import Reference
    from pytest_inferopt.engine.store.folder import Store
    from pytest_inferopt.plugin.rebuilding import Rebuilding

__all__ = ["SessionBaselines"]


class SessionBaselines:
    """What the tests of a session are compared with, and what is kept of them.

    Args:
        config: pytest's.
        store: this project's.
        reuse: whether finished steps are used again.
        is_accepting: whether what is measured becomes the baseline, so that nothing is compared.
        rebuilding: set where this session only makes the models of another commit.
        rebuild_seconds: what one test of another commit may take.
        on_progress: told what takes long.
    """

    def __init__(
        self,
        config: pytest.Config,
        store: Store,
        *,
        reuse: bool,
        is_accepting: bool,
        rebuilding: Rebuilding | None,
        rebuild_seconds: float,
        on_progress: Callable[[str], None],
    ) -> None:
        self._config = config
        self._store = store
        self._reuse = reuse
        self._is_accepting = is_accepting
        self._rebuilding = rebuilding
        self._rebuild_seconds = rebuild_seconds
        self._say = on_progress
        self._sources: dict[str, BaselineSource] = {}
        self._git = git_state(config.rootpath)
        if rebuilding is not None:
            self._git = GitState(commit=rebuilding.commit)

    def check(self, text: str) -> None:
        """Settle what the session compares with.

        Raises:
            UsageError: it is neither a path nor a commit.
        """
        if self._is_comparing:
            self._source(text)

    def header(self, text: str) -> str:
        """What the session's header says: ``baseline auto (merge base 3f9c2e1)``."""
        if self._is_accepting:
            return "accepting a new baseline"
        if not self._is_comparing or text == "none":
            return "no baseline"
        base = self._source(text).merge_base if text == "auto" else None
        return f"baseline {text}" + (f" (merge base {base.commit[:SHORT_COMMIT]})" if base else "")

    def mode(self, request: OptimizationRequest, test_id: str) -> RunMode:
        """How a request is run, and what it is compared with.

        Raises:
            UsageError: its baseline is neither a path nor a commit, or a newer version wrote it.
        """
        if not self._is_comparing:
            return RunMode(reuse=self._reuse, is_measured=self._rebuilding is None)
        return RunMode(reuse=self._reuse, baseline=self._reference(request, test_id))

    def keep(self, result: RunResult) -> str:
        """Make a result a baseline, where it is to be one; what a reader must know of that.

        What stands in the way is told and fails nothing, unless the baseline was asked for.

        Raises:
            NotMeasuredError: it was to be accepted, and cannot be.
        """
        if self._is_accepting:
            manifest = accept(result, self._store, self._git)
            at = f" at {manifest.commit[:SHORT_COMMIT]}" if manifest.commit else ""
            changed = " with changed files" if manifest.is_dirty else ""
            return f"accepted as the baseline{at}{changed}: {', '.join(manifest.variants)}"
        try:
            record(result, self._store, self._git, is_asked=False)
        except InferoptError as error:
            return f"not kept as the baseline of its commit: {error.message}"
        return ""

    def close(self) -> None:
        """Remove what was unpacked."""
        for source in self._sources.values():
            source.close()

    @property
    def _is_comparing(self) -> bool:
        return not self._is_accepting and self._rebuilding is None

    def _reference(self, request: OptimizationRequest, test_id: str) -> Reference | None:
        source = self._source(request.baseline)
        if source.kind == "none":
            return None
        try:
            return source.find(test_id, request.name)
        except UsageError:
            raise
        # A damaged baseline is no reason to measure nothing; it is a red check.
        except InferoptError as error:
            return error

    def _source(self, text: str) -> BaselineSource:
        if text not in self._sources:
            self._sources[text] = BaselineSource(
                text,
                store=self._store,
                root=self._config.rootpath,
                base=self._config.invocation_params.dir,
                rebuild=self._rebuild(),
            )
        return self._sources[text]

    def _rebuild(self) -> Callable[[str, str, str], Manifest | Absent] | None:
        home = top_level(self._config.rootpath)
        if home is None:
            return None
        plan = RebuildPlan(
            home=home,
            rootdir=self._config.rootpath.resolve(),
            inifile=self._config.inipath,
            options=options_given(self._config),
            seconds=self._rebuild_seconds,
            on_progress=self._say,
        )
        return partial(rebuild, plan, self._store)
