from __future__ import annotations

import json
import os
import shutil
import zipfile

import pytest

from pytest_inferopt.domain.result import Check
from pytest_inferopt.engine.baseline.manifests import Baselines
from pytest_inferopt.engine.store.folder import Store


def accepted(store):
    return {manifest.name: manifest for manifest in Baselines(store).all() if manifest.accepted_at}


def test_an_empty_store_says_how_one_is_filled_and_is_not_made(command, store):
    ran = command("baseline", "list")
    assert (ran.code, ran.out) == (
        0,
        f"no baselines in {store.root}; a run of pytest --inferopt at a commit saves one.\n",
    )
    assert not store.root.exists()


def test_the_latest_results_are_saved_as_the_baseline_of_head(command, git, kept, store):
    kept()
    ran = command("baseline", "save", "--json")
    (saved,) = json.loads(ran.out)["saved"]
    commit = git("rev-parse", "HEAD")
    assert ran.code == 0
    assert {key: saved[key] for key in ("test_id", "name", "commit", "branch", "is_dirty", "accepted_at")} == {
        "test_id": "test_a.py::test_churn",
        "name": "churn",
        "commit": commit,
        "branch": "main",
        "is_dirty": False,
        "accepted_at": None,
    }
    assert [manifest.commit for manifest in Baselines(store).all()] == [commit]


def test_what_is_saved_is_listed_shown_and_told_as_json(command, git, kept):
    kept()
    commit = git("rev-parse", "HEAD")
    assert "saved 1 baseline." in command("baseline", "save").out
    listed = command("baseline", "list").out.splitlines()
    assert listed[0].split() == ["test", "name", "commit", "branch", "saved", "accepted", "variants", "size"]
    assert listed[1].split()[:4] == ["test_a.py::test_churn", "churn", commit[:7], "main"]
    for which in ("churn", "test_a.py::test_churn", commit[:7], commit):
        shown = command("baseline", "show", which)
        assert (shown.code, f"  at {commit} on main" in shown.out.splitlines()) == (0, True)
    (document,) = json.loads(command("baseline", "show", "churn", "--json").out)
    assert (document["commit"], document["variants"]["int8"]["format"]) == (commit, "onnx")
    unknown = command("baseline", "show", "churm")
    assert (unknown.code, unknown.err) == (2, "pytest-inferopt: no baseline of churm; did you mean 'churn'?\n")


@pytest.mark.usefixtures("git")
def test_f76_a_damaged_entry_is_listed_with_its_problem_and_left_where_it_is(command, kept, store):
    kept()
    command("baseline", "save")
    (entry,) = Baselines(store).entries()
    entry.path.write_text("{", encoding="utf-8")
    ran = command("baseline", "list")
    assert (ran.code, ran.out.count("not readable: "), entry.path.exists()) == (0, 1, True)
    (told,) = json.loads(command("baseline", "list", "--json").out)
    assert (told["path"], "not valid JSON" in told["problem"]) == (str(entry.path), True)


def test_results_with_changed_files_are_not_saved_and_can_be_accepted(command, git, kept, store, project):
    kept()
    (project / "model.py").write_text("width = 65\n", encoding="utf-8")
    ran = command("baseline", "save")
    commit = git("rev-parse", "HEAD")
    assert ran.code == 2
    assert ran.err == (
        f"pytest-inferopt: tracked files differ from the commit {commit[:7]}, so what was measured is not its model. "
        "Commit and run pytest --inferopt, or accept what was measured: pytest-inferopt baseline accept.\n"
    )
    assert command("baseline", "accept").code == 0
    assert (accepted(store)["churn"].commit, accepted(store)["churn"].is_dirty) == (commit, True)


@pytest.mark.usefixtures("git")
def test_results_that_are_older_than_heads_last_move_are_not_those_of_head(command, kept, store):
    path = kept()
    os.utime(path, (1_000_000_000, 1_000_000_000))
    ran = command("baseline", "save")
    assert (ran.code, "was measured before" in ran.err) == (2, True)
    command("baseline", "accept")
    assert accepted(store)["churn"].is_dirty


def test_in_a_worktree_heads_moves_are_known_too(command, git, kept, tmp_path, monkeypatch, project):
    path = kept()
    git("worktree", "add", "--quiet", str(tmp_path / "tree"), "-b", "other")
    monkeypatch.chdir(tmp_path / "tree")
    os.utime(path, (2_000_000_000, 2_000_000_000))
    options = ("--store", project / ".inferopt")
    assert command("baseline", "save", *options).code == 0
    os.utime(path, (1_000_000_000, 1_000_000_000))
    assert command("baseline", "save", *options).code == 2


def test_where_git_keeps_no_journal_the_commits_own_time_counts(command, git, kept, project):
    path = kept()
    shutil.rmtree(project / ".git" / "logs")
    git("config", "core.logAllRefUpdates", "false")
    assert command("baseline", "save").code == 0
    os.utime(path, (1_000_000_000, 1_000_000_000))
    assert command("baseline", "save").code == 2


def test_outside_of_a_repository_results_are_accepted_and_not_saved(command, kept, store):
    kept()
    ran = command("baseline", "save")
    assert (ran.code, "is no git repository with a commit" in ran.err) == (2, True)
    assert "accepted 1 baseline." in command("baseline", "accept").out
    assert accepted(store)["churn"].commit is None


def test_only_the_tests_that_are_named_are_accepted(command, kept, store):
    kept()
    kept(name="other", test_id="test_b.py::test_b", width=65)
    assert command("baseline", "accept", "test_b.py::test_b").code == 0
    assert accepted(store).keys() == {"other"}
    unknown = command("baseline", "accept", "othr")
    assert (unknown.code, "the store holds no result of othr; did you mean 'other'?" in unknown.err) == (2, True)


def test_a_red_result_is_not_accepted_and_neither_is_any_beside_it(command, kept, store):
    kept()
    kept(name="wrong", checks=(Check(kind="accuracy", variant="int8", outcome="failed"),))
    ran = command("baseline", "accept")
    assert (ran.code, "not fit to be a baseline: int8: accuracy failed; nothing was changed." in ran.err) == (1, True)
    assert accepted(store) == {}


def test_a_slow_result_is_accepted(command, kept, store):
    kept(checks=(Check(kind="regression", variant="int8", outcome="regressed"),))
    assert command("baseline", "accept").code == 0
    assert accepted(store).keys() == {"churn"}


def test_a_result_that_was_never_timed_is_not_accepted(command, kept, store):
    kept(latency={})
    ran = command("baseline", "accept")
    assert (ran.code, "nothing of it was timed" in ran.err, accepted(store)) == (1, True, {})


def test_f76_a_damaged_result_is_not_accepted(command, kept, store):
    path = kept()
    path.write_bytes(path.read_bytes()[:100])
    for arguments in ((), ("churn",)):
        ran = command("baseline", "accept", *arguments)
        assert (ran.code, f"{path}: not valid JSON" in ran.err, accepted(store)) == (1, True, {})


def test_f76_a_damaged_result_does_not_keep_a_named_one_from_being_accepted(command, kept, store):
    kept()
    kept(name="other").write_text("{}", encoding="utf-8")
    assert command("baseline", "accept", "churn").code == 0
    assert accepted(store).keys() == {"churn"}


def test_f77_a_result_whose_model_is_another_one_is_not_accepted(command, kept, store):
    kept()
    (model,) = (store.root / "models").iterdir()
    model.write_bytes(b"another")
    ran = command("baseline", "accept")
    assert (ran.code, accepted(store)) == (1, {})


def test_f78_a_result_of_a_newer_version_is_a_usage_error(command, kept):
    path = kept()
    document = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**document, "schema_version": 99}), encoding="utf-8")
    ran = command("baseline", "accept")
    assert (ran.code, "Upgrade: pip install --upgrade pytest-inferopt." in ran.err) == (2, True)


def test_a_result_that_lies_elsewhere_or_lacks_a_part_is_told(command, kept):
    path = kept()
    document = json.loads(path.read_text(encoding="utf-8"))
    path.rename(path.with_name("elsewhere.json"))
    assert "is not in its place" in command("baseline", "accept").err
    path.with_name("elsewhere.json").unlink()
    del document["original"]
    path.write_text(json.dumps(document), encoding="utf-8")
    assert "original: Field required" in command("baseline", "accept").err


def test_f85_a_planted_link_is_no_result(command, kept, tmp_path):
    path = kept()
    path.rename(tmp_path / "elsewhere.json")
    path.symlink_to(tmp_path / "elsewhere.json")
    ran = command("baseline", "accept")
    assert (ran.code, "cannot be read" in ran.err) == (1, True)


@pytest.mark.usefixtures("git")
def test_a_store_without_results_is_a_usage_error(command):
    for action in ("save", "accept"):
        ran = command("baseline", action)
        assert (ran.code, "the store holds no results." in ran.err) == (2, True)


def test_a_bundle_carries_baselines_from_one_store_to_another(command, git, kept, tmp_path):
    kept()
    command("baseline", "save")
    ran = command("baseline", "export", "out.zip", "--test", "churn", "--commit", git("rev-parse", "HEAD"), "--json")
    assert (ran.code, [found["name"] for found in json.loads(ran.out)["baselines"]]) == (0, ["churn"])
    assert command("baseline", "export", "again.zip").out.startswith("again.zip: 1 baseline, ")
    other = tmp_path / "other"
    assert command("baseline", "import", "out.zip", "--store", other).code == 0
    assert [manifest.name for manifest in Baselines(Store(other)).all()] == ["churn"]


@pytest.mark.usefixtures("git")
def test_what_cannot_be_read_is_left_out_of_a_bundle_and_told(command, kept, store):
    kept()
    command("baseline", "save")
    kept(name="other")
    command("baseline", "accept", "other")
    broken = next(entry for entry in Baselines(store).entries() if entry.manifest.name == "other")
    broken.path.write_text("{", encoding="utf-8")
    ran = command("baseline", "export", "out.zip")
    assert (ran.code, "left out: " in ran.err) == (0, True)


def test_there_is_nothing_to_export_from_an_empty_store(command):
    ran = command("baseline", "export", "out.zip")
    assert (ran.code, "there is nothing to export" in ran.err) == (2, True)


def test_j116_a_bundle_with_a_name_that_leads_elsewhere_is_refused(command, store, tmp_path):
    path = tmp_path / "bundle.zip"
    with zipfile.ZipFile(path, "w") as bundle:
        bundle.writestr("index.json", json.dumps({"schema_version": 1, "files": {"../x.json": "0" * 64}}))
        bundle.writestr("../x.json", "{}")
    ran = command("baseline", "import", path)
    assert (ran.code, ran.out, "which is no place in a bundle" in ran.err) == (5, "", True)
    assert Baselines(store).all() == []


def test_pruning_keeps_the_last_accepted_ones(command, kept, store):
    for width in (64, 65, 66):
        kept(width=width)
        command("baseline", "accept")
    assert json.loads(command("baseline", "prune", "--keep", "1", "--json").out)["baselines_removed"] == 2
    assert len(Baselines(store).all()) == 1
    assert command("baseline", "prune").out.startswith("removed 0 baselines")


def test_there_is_nothing_to_prune_where_there_is_no_store(command, store):
    assert json.loads(command("baseline", "prune", "--json").out) == {"baselines_removed": 0, "files_removed": 0}
    assert not store.root.exists()


def test_the_projects_store_is_taken_and_another_one_where_it_is_named(command, kept, project):
    kept()
    command("baseline", "accept")
    (project / "pyproject.toml").write_text('[tool.inferopt]\nstore = "kept"\n', encoding="utf-8")
    assert json.loads(command("baseline", "list", "--json").out) == []
    assert len(json.loads(command("baseline", "list", "--store", ".inferopt", "--json").out)) == 1
