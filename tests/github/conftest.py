"""A GitHub on this machine, and a clock that nobody waits for."""

from __future__ import annotations

import pytest

from pytest_inferopt.github.client import GitHub


class Clock:
    """Time that passes only while somebody sleeps; `slept` is every wait in seconds."""

    def __init__(self):
        self.now = 1_900_000_000.0
        self.slept = []

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds

    def time(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def client(github, clock):
    """A client of the server, with the good token."""
    with GitHub(github.token, github.url, sleep=clock.sleep, clock=clock.time) as found:
        yield found
