from __future__ import annotations

import json
import os
from datetime import UTC, datetime

import pytest

from pytest_inferopt.engine.store.pruning import accepted_at, entry_paths, instant, pinned_digests, prune_entries

NOW = 1_800_000_000.0
DAY = 86_400
LONG_AGO = datetime.min.replace(tzinfo=UTC)


@pytest.fixture
def put(tmp_path):
    """`put("a.json", days=31)`: a manifest that was last used so many days ago."""

    def put(name, *, days, key="key", content=None, **fields):
        path = tmp_path / "baselines" / key / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"schema_version": 1, **fields}) if content is None else content)
        os.utime(path, (NOW - days * DAY,) * 2)
        return path

    return put


def left(root):
    return sorted(path.name for path in root.rglob("*") if path.is_file())


def prune(root, **changes):
    return prune_entries(root, **{"now": NOW, "max_age_days": 30, **changes})


def test_what_was_only_recorded_goes_after_a_month_except_for_the_newest_of_its_test(tmp_path, put):
    for name, days in (("a.json", 50), ("b.json", 40), ("c-dirty-1.json", 60)):
        put(name, days=days)
    put("d.json", days=400, key="other")
    assert prune(tmp_path) == 2
    assert left(tmp_path) == ["b.json", "d.json"]


def test_what_was_used_within_the_month_stays(tmp_path, put):
    for name, days in (("a.json", 29), ("b.json", 2), ("c.json", -300)):
        put(name, days=days)
    assert prune(tmp_path) == 0


def test_the_last_accepted_ones_of_each_test_stay_however_old_they_are(tmp_path, put):
    for number in range(5):
        # By the acceptance and not by the use: a clock that was set back must not cost the newest.
        put(f"{number}-accepted-1.json", days=400 + number, accepted_at=f"2030-01-0{number + 1}T00:00:00+00:00")
        put(f"{number}-accepted-2.json", days=400, key="other", accepted_at="2030-01-01T00:00:00+00:00")
    put("recorded.json", days=500)
    assert prune(tmp_path, keep=2) == 3 + 3 + 1
    assert sorted(path.name for path in (tmp_path / "baselines" / "key").iterdir()) == [
        "3-accepted-1.json",
        "4-accepted-1.json",
    ]


def test_f78_what_a_newer_version_wrote_is_not_pruned(tmp_path, put):
    put("newest.json", days=1)
    put("newer.json", days=400, schema_version=2)
    put("torn.json", days=400, content="{")
    put("list.json", days=400, content="[]")
    assert prune(tmp_path) == 2
    assert left(tmp_path) == ["newer.json", "newest.json"]


def test_what_a_killed_process_had_not_finished_goes_after_a_day(tmp_path, put):
    put("a.json", days=0)
    put(".writing-old", days=2)
    put(".writing-now", days=0.5)
    assert prune(tmp_path) == 0
    assert left(tmp_path) == [".writing-now", "a.json"]


def test_what_cannot_be_removed_is_not_counted(tmp_path, put, monkeypatch):
    put("a.json", days=40)
    put("b.json", days=50)

    def fail(_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(tmp_path), "unlink", fail)
    assert prune(tmp_path) == 0


def test_all_digests_in_a_manifest_are_pinned_wherever_they_stand(tmp_path, put):
    a, b, c = "a" * 64, "b" * 64, "c" * 64
    put("a.json", days=0, variants={"int8": {"files": [{"sha256": a}, {"blob": f"sha256:{b}"}]}}, longer="d" * 65)
    put("b.json", days=0, key="other", content=f"torn {c}")
    assert pinned_digests(tmp_path) == {a, b, c}


def test_without_baselines_nothing_is_pinned_and_nothing_goes(tmp_path):
    assert (pinned_digests(tmp_path), prune(tmp_path), entry_paths(tmp_path / "none")) == (frozenset(), 0, [])


@pytest.mark.parametrize("level", ["baselines", "test", "manifest"])
def test_f85_a_planted_link_is_neither_followed_nor_removed(tmp_path, put, level):
    outside = put("precious.json", days=400, content="a" * 64)
    put("newest.json", days=399)
    store = tmp_path / "store"
    if level == "baselines":
        store.mkdir()
        (store / "baselines").symlink_to(outside.parents[1])
    elif level == "test":
        (store / "baselines").mkdir(parents=True)
        (store / "baselines" / "key").symlink_to(outside.parent)
    else:
        (store / "baselines" / "key").mkdir(parents=True)
        (store / "baselines" / "key" / "precious.json").symlink_to(outside)
    assert (pinned_digests(store), prune(store)) == (frozenset(), 0)
    assert outside.exists()
    assert entry_paths(store / "baselines" / "key") == []


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2030-01-02T03:04:05+00:00", datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2030-01-02T03:04:05+01:00", datetime(2030, 1, 2, 2, 4, 5, tzinfo=UTC)),
        ("2030-01-02T03:04:05", datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("0001-01-01T00:00:00+23:00", LONG_AGO),
        ("yesterday", LONG_AGO),
        (None, LONG_AGO),
    ],
)
def test_a_moment_that_cannot_be_read_was_long_ago(text, moment):
    assert instant(text) == moment


def test_a_manifest_that_cannot_be_read_was_accepted_long_ago(tmp_path, put):
    assert accepted_at(put("a.json", days=0, accepted_at="2030-01-02T00:00:00+00:00")).year == 2030
    assert accepted_at(tmp_path / "none.json") == LONG_AGO
