"""What a session compares with, and what of it becomes a baseline: whole runs in small repositories."""

from __future__ import annotations

import json
import subprocess

import numpy as np
import pytest
from onnx import TensorProto, helper

# A real gate on a real machine: one in a hundred may end otherwise, by chance or by what else runs there.
a_live_gate = pytest.mark.flaky(reruns=2)
GIT = ("git", "-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "init.defaultBranch=main")
FAST = ("--inferopt-iterations=20", "--inferopt-warmup-iterations=2", "--inferopt-batch-sizes=1")
TEST = """
import numpy as np
with np.load('rows.npz') as rows:
    x, y = rows['x'], rows['y']

def test_digits(inferopt):
    inferopt('model.onnx', x, y)
"""


@pytest.fixture
def project(repo):
    """A git repository with a committed model and its test; `git(…)` and `run(…)` work in it."""
    repo.makepyfile(test_digits=TEST)
    (repo.path / ".gitignore").write_text("__pycache__/\n.pytest_cache/\n.cache/\n", encoding="utf-8")

    def git(*arguments):
        ran = subprocess.run([*GIT, *arguments], cwd=repo.path, check=True, capture_output=True, encoding="utf-8")
        return ran.stdout.strip()

    def commit(message):
        git("add", "--all")
        git("commit", "--quiet", f"--message={message}")
        return git("rev-parse", "HEAD")

    def run(*options):
        report = repo.path.parent / f"{repo.path.name}-report" / "report.json"
        result = repo.runpytest_inprocess(
            "--inferopt", "-p", "no:randomly", *FAST, f"--inferopt-report=json:{report}", *options
        )
        (found,) = json.loads(report.read_text(encoding="utf-8"))["results"] or [None]
        report.unlink()
        return result, found

    git("init", "--quiet")
    repo.git, repo.commit, repo.run = git, commit, run
    commit("first")
    return repo


def wide_model(path, width):
    """Digits through one hidden layer: a file whose work grows with its width."""
    random = np.random.default_rng(0)
    weights = {
        "a": random.normal(size=(64, width)).astype(np.float32),
        "b": random.normal(size=(width, 10)).astype(np.float32),
    }
    nodes = [
        helper.make_node("MatMul", ["x", "a"], ["h"], name="widen"),
        helper.make_node("Relu", ["h"], ["r"], name="bend"),
        helper.make_node("MatMul", ["r", "b"], ["scores"], name="narrow"),
    ]
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ("N", 64))],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ("N", 10))],
        [helper.make_tensor(name, TensorProto.FLOAT, array.shape, array.tobytes(), raw=True)
         for name, array in weights.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())


def regression(found, variant="optimized"):
    """Outcome and reason of a variant's regression check."""
    (check,) = [check for check in found["variants"][variant]["checks"] if check["kind"] == "regression"]
    return check["outcome"], check["reason"]


def test_f75_without_a_baseline_a_result_is_new_and_the_headline_says_that_nothing_protects_it(project):
    result, found = project.run("--inferopt-report=terminal")
    assert result.ret == 0
    short = project.git("rev-parse", "--short=7", "HEAD")
    told = f"nothing is saved of the merge base {short} with main, and none was accepted."
    assert (found["gate"]["verdict"], regression(found)) == ("new", ("new", told))
    result.stdout.fnmatch_lines([f"inferopt: *baseline auto (merge base {short})", "*not protected: no baseline*"])


def test_a_run_at_a_clean_commit_is_the_baseline_of_what_branches_off_there(project):
    project.run()
    project.git("switch", "--quiet", "--create", "feature")
    (project.path / "notes").write_text("nothing that a model knows", encoding="utf-8")
    project.commit("notes")
    _, found = project.run()
    base = project.git("rev-parse", "main")
    assert found["gate"]["verdict"] == "unchanged"
    identity = found["gate"]["baseline"]
    assert (identity["source"], identity["commit"], identity["branch"]) == ("merge base", base, "main")
    assert regression(found) == ("unchanged", f"the same file as merge base {base[:7]}'s.")


def test_a_run_with_changed_files_is_nobodys_baseline(project):
    (project.path / "test_digits.py").write_text(f"{TEST}\n# changed\n", encoding="utf-8")
    project.run()
    _, found = project.run()
    assert found["gate"]["verdict"] == "new"


def test_what_was_accepted_is_the_baseline_where_the_merge_base_has_none(project):
    (project.path / "test_digits.py").write_text(f"{TEST}\n# changed\n", encoding="utf-8")
    project.run("--inferopt-update-baseline")
    _, found = project.run()
    assert (found["gate"]["verdict"], found["gate"]["baseline"]["source"]) == ("unchanged", "accepted")


@a_live_gate
def test_a_model_that_is_really_slower_is_red_with_figures_operators_and_the_way_to_accept_it(project):
    wide_model(project.path / "model.onnx", 64)
    project.commit("narrow")
    project.run()
    wide_model(project.path / "model.onnx", 16_384)
    result, found = project.run("--inferopt-report=terminal")
    assert result.ret == 1
    outcome, reason = regression(found)
    assert outcome == "regressed"
    assert "allowed 2.0 % (0.4 × max_slowdown 5 %)" in reason
    variant = found["variants"]["optimized"]["comparison"]
    (cell,) = variant["cells"]
    assert (cell["outcome"], cell["batch_size"], len(cell["values"])) == ("regressed", 1, 9)
    assert cell["slowdown"]["interval"]["low"] > 0.02
    assert {operator["name"] for operator in variant["operators"]} & {"widen", "narrow"}
    gate = found["gate"]
    assert (gate["replicates"], gate["looks"], gate["is_contaminated"]) == (9, 1, False)
    result.stdout.fnmatch_lines(["*accept: pytest --inferopt --inferopt-update-baseline*"])

    accepted, found = project.run("--inferopt-update-baseline")
    assert (accepted.ret, found["gate"]) == (0, None)


def test_on_a_branch_too_what_was_accepted_is_green_from_then_on(project):
    wide_model(project.path / "model.onnx", 64)
    project.commit("narrow")
    project.run()
    project.git("switch", "--quiet", "--create", "feature")
    wide_model(project.path / "model.onnx", 16_384)
    project.commit("wide")
    project.run("--inferopt-update-baseline")
    result, found = project.run()
    assert (result.ret, found["gate"]["verdict"], found["gate"]["baseline"]["source"]) == (0, "unchanged", "accepted")


@a_live_gate
def test_a_red_run_is_red_again_at_the_same_commit_because_what_was_kept_first_stays(project):
    project.git("rm", "--quiet", "--cached", "model.onnx")
    with (project.path / ".gitignore").open("a", encoding="utf-8") as ignored:
        ignored.write("model.onnx\n")
    head = project.commit("a model that git does not track")
    wide_model(project.path / "model.onnx", 64)
    project.run()
    wide_model(project.path / "model.onnx", 16_384)
    found = [project.run(), project.run("--inferopt-baseline=none"), project.run()]
    assert [(result.ret, result_of["gate"] and result_of["gate"]["verdict"]) for result, result_of in found] == [
        (1, "regressed"),
        (0, None),
        (1, "regressed"),
    ]
    assert f"not kept as the baseline of its commit: {head[:7]} has another one already." in found[0][1]["notes"]


def test_a_variant_that_is_not_asked_for_any_more_is_missing_until_that_is_accepted(project):
    two = TEST.replace("x, y)", "x, y, variants={'onnx': ['onnx_conversion'], 'int8': ['quantization']})")
    (project.path / "test_digits.py").write_text(two, encoding="utf-8")
    base = project.commit("two variants")
    project.run()
    one = TEST.replace("x, y)", "x, y, variants={'onnx': ['onnx_conversion']})")
    (project.path / "test_digits.py").write_text(one, encoding="utf-8")
    result, found = project.run()
    assert result.ret == 1
    told = f"the baseline (merge base {base[:7]}) has this variant, and the test does not ask for it any more."
    assert (regression(found, "onnx")[0], regression(found, "int8")) == ("unchanged", ("missing", told))
    assert project.run("--inferopt-gate=warn")[0].ret == 0
    assert project.run("--inferopt-update-baseline")[0].ret == 0


def test_f76_a_damaged_baseline_is_not_measured_and_the_next_run_has_none(project):
    project.run()
    (manifest,) = (project.path / ".inferopt" / "baselines").glob("*/*.json")
    manifest.write_bytes(manifest.read_bytes()[:-40])
    (project.path / "test_digits.py").write_text(f"{TEST}\n# changed\n", encoding="utf-8")
    result, found = project.run()
    assert (result.ret, found["gate"]["verdict"], regression(found)[0]) == (1, "not_measured", "not_measured")
    assert str(manifest) in regression(found)[1]
    assert found["variants"]["optimized"]["latency"]
    assert project.run()[1]["gate"]["verdict"] == "new"


@pytest.mark.parametrize("options", ["-p no:xdist", "-n 2 --dist loadfile"])
def test_a_commit_is_made_again_without_workers_whether_xdist_is_loaded_or_not(project, options):
    (project.path / "pytest.ini").write_text(f"[pytest]\naddopts = {options}\n", encoding="utf-8")
    base = project.commit("options")
    project.git("switch", "--quiet", "--create", "feature")
    (project.path / "notes").write_text("nothing that a model knows", encoding="utf-8")
    project.commit("notes")
    _, found = project.run("--inferopt-baseline=main")
    identity = found["gate"]["baseline"]
    assert (found["gate"]["verdict"], identity["source"], identity["commit"]) == ("unchanged", "rebuilt", base)


def test_a_model_that_is_wrong_is_not_accepted(project):
    text = TEST.replace("x, y)", "x, y, check=False)")
    (project.path / "test_digits.py").write_text(text, encoding="utf-8")
    result, _ = project.run("--inferopt-update-baseline", "--inferopt-budget=size<0.1kB")
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        ["*digits was not accepted as the baseline: optimized: budget failed.*", "*the old baseline stays*"]
    )
    assert not list((project.path / ".inferopt").glob("baselines/*/*.json"))


def test_a_result_names_its_tests_line_and_its_file_from_the_root_of_the_repository(project):
    (project.path / "shop").mkdir()
    project.git("mv", "test_digits.py", "shop/test_digits.py")
    _, found = project.run("--rootdir=shop", "shop/test_digits.py", "--inferopt-baseline=none")
    assert (found["test_file"], found["test_line"], found["test_id"]) == (
        "shop/test_digits.py",
        TEST.strip().splitlines().index("def test_digits(inferopt):") + 1,
        "test_digits.py::test_digits",
    )


def test_f89_a_run_leaves_git_status_clean(project):
    project.run()
    project.run("--inferopt-baseline=HEAD")
    assert not project.git("status", "--porcelain")


class TestAnotherCommit:
    """``--inferopt-baseline=REF``: the test is run as it was there, in a worktree."""

    @pytest.fixture
    def package(self, project):
        """The model comes from a package of the repository, which says how wide it is."""
        source = project.path / "src" / "shop"
        source.mkdir(parents=True)
        (source / "__init__.py").write_text("", encoding="utf-8")
        (source / "model.py").write_text("NAME = 'model.onnx'\n", encoding="utf-8")
        project.makepyfile(
            test_digits=TEST.replace("'model.onnx'", "NAME").replace("def", "from shop.model import NAME\ndef")
        )
        project.makeini("[pytest]\npythonpath = src\n")
        return project

    def test_it_is_made_again_from_the_commits_own_code_and_files(self, package):
        wide_model(package.path / "model.onnx", 8)
        base = package.commit("base")
        package.git("tag", "v1")
        (package.path / "src" / "shop" / "model.py").write_text("NAME = 'other.onnx'\n", encoding="utf-8")
        wide_model(package.path / "other.onnx", 8)
        package.git("rm", "--quiet", "model.onnx")
        package.commit("head")
        _, found = package.run("--inferopt-baseline=v1")
        identity = found["gate"]["baseline"]
        assert (found["gate"]["verdict"], identity["source"], identity["commit"]) == ("unchanged", "rebuilt", base)
        assert "worktree" not in package.git("worktree", "list", "--porcelain").replace("worktree ", "", 1)
        _, again = package.run("--inferopt-baseline=v1")
        assert again["gate"]["baseline"]["source"] == "recorded"

    def test_a_file_that_git_ignores_is_missing_there_and_the_result_is_new_with_the_reason(self, package):
        (package.path / ".gitignore").write_text("rows.npz\n__pycache__/\n.pytest_cache/\n.cache/\n", encoding="utf-8")
        package.git("rm", "--quiet", "--cached", "rows.npz")
        base = package.commit("no rows")
        result, found = package.run("--inferopt-baseline=HEAD")
        outcome, reason = regression(found)
        assert (result.ret, outcome) == (0, "new")
        assert reason.startswith(f"{base[:7]} could not be made again: ")
        assert "rows.npz" in reason

    def test_a_test_that_was_not_there_is_new(self, package):
        package.commit("base")
        package.makepyfile(test_later=TEST)
        (package.path / "test_digits.py").unlink()
        _, found = package.run("--inferopt-baseline=HEAD")
        assert regression(found)[0] == "new"
        assert "test_later.py" in regression(found)[1]

    def test_a_result_of_another_name_is_new(self, package):
        package.commit("base")
        text = (package.path / "test_digits.py").read_text(encoding="utf-8")
        (package.path / "test_digits.py").write_text(text.replace("x, y)", "x, y, name='renamed')"), encoding="utf-8")
        _, found = package.run("--inferopt-baseline=HEAD")
        base = package.git("rev-parse", "--short=7", "HEAD")
        told = f"{base} could not be made again: the test makes nothing that is called 'renamed' there."
        assert regression(found) == ("new", told)

    def test_code_of_the_working_copy_that_answers_for_the_commits_is_found_out(self, package):
        hidden = package.path / "hidden"
        hidden.mkdir()
        (hidden / "odd_place.py").write_text("NAME = 'model.onnx'\n", encoding="utf-8")
        (package.path / "src" / "shop" / "model.py").write_text(
            "import importlib.util, sys\n"
            f"spec = importlib.util.spec_from_file_location('elsewhere', {str(hidden / 'odd_place.py')!r})\n"
            "module = sys.modules['elsewhere'] = importlib.util.module_from_spec(spec)\n"
            "spec.loader.exec_module(module)\nNAME = module.NAME\n",
            encoding="utf-8",
        )
        base = package.commit("base")
        _, found = package.run("--inferopt-baseline=HEAD")
        outcome, reason = regression(found)
        assert outcome == "new"
        assert f"the code of the working copy was imported instead of {base[:7]}'s: elsewhere (" in reason
