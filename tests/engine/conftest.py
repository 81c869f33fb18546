"""A clock that only sessions move, and sessions whose every call takes as long as its script says."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

NS_PER_MS = 1_000_000


@dataclass
class FakeClock:
    """Stands still until somebody takes time."""

    now_ns: int = 0

    def __call__(self) -> int:
        return self.now_ns

    def pass_ms(self, milliseconds: float) -> None:
        self.now_ns += round(milliseconds * NS_PER_MS)


@dataclass
class ScriptedSession:
    """Calls take the scripted milliseconds, in order; the last one holds for all calls beyond the script."""

    name: str
    clock: FakeClock
    calls_ms: deque[float]
    diary: list[str]
    feeds: list[Any] = field(default_factory=list)
    prepare_ms: float = 0
    call: str = "scripted"
    own_threads: str | None = None

    def prepare(self, rows: Any) -> Any:
        self.clock.pass_ms(self.prepare_ms)
        return rows

    def run(self, feed: Any) -> None:
        self.diary.append(self.name)
        self.feeds.append(feed)
        self.clock.pass_ms(self.calls_ms.popleft() if len(self.calls_ms) > 1 else self.calls_ms[0])

    def predict(self, rows: Any) -> Any:
        raise NotImplementedError


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def diary() -> list[str]:
    """Who was called, in order."""
    return []


@pytest.fixture
def scripted(clock: FakeClock, diary: list[str]) -> Callable[..., ScriptedSession]:
    """`scripted("a", 9, 9, 1)`: a session whose calls take 9, 9 and then 1 millisecond each."""

    def scripted(name: str, *calls_ms: float, prepare_ms: float = 0) -> ScriptedSession:
        return ScriptedSession(name, clock, deque(calls_ms), diary, prepare_ms=prepare_ms)

    return scripted
