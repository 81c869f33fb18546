from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess

import pytest

from pytest_inferopt.domain.baseline import BaselineFile, BaselineVariant, Manifest
from pytest_inferopt.domain.comparison import BaselineIdentity
from pytest_inferopt.domain.environment import Environment
from pytest_inferopt.engine.baseline.bundle import export_bundle
from pytest_inferopt.engine.baseline.manifests import Baselines
from pytest_inferopt.engine.baseline.source import Absent, BaselineSource, Found
from pytest_inferopt.engine.store.folder import Store
from pytest_inferopt.errors import NotMeasuredError, UsageError

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")

HERE = Environment(cpu_model="Intel Xeon", cpu_count=2, isa_flags=(), python="3.11.9", system="linux", libraries={})
TEST, NAME = "test_a.py::test_a", "churn"
SAVED, ACCEPTED = "2030-01-02T12:00:00+00:00", "2030-01-03T12:00:00+00:00"
LATER = "2030-01-04T12:00:00+00:00"
ACCEPT = "With --inferopt-update-baseline, what is measured becomes the baseline."
ENVIRONMENT = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    **{f"GIT_{who}_{what}": "a@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
}


@pytest.fixture(autouse=True)
def _clean_machine(monkeypatch, tmp_path):
    """No setting of the user's, no hook that these tests may run in, no repository around the temporary folder."""
    for name in [name for name in os.environ if name.startswith("GIT")]:
        monkeypatch.delenv(name)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))


class Repository:
    """A folder under git whose branch `feature` left `main` at `base`."""

    def __init__(self, root):
        self.root = root
        self.root.mkdir()
        self.git("init", "--quiet", "--initial-branch=main")
        (self.root / "code.py").write_text("1")
        self.base = self.commit("code.py")
        self.git("checkout", "--quiet", "-b", "feature")

    def git(self, *arguments):
        command = [shutil.which("git"), "-C", str(self.root), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def commit(self, *names):
        self.git("add", "--force", "--", *names)
        self.git("commit", "--quiet", "--message", "a commit")
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path):
    return Repository(tmp_path / "repository")


@pytest.fixture
def save(tmp_path):
    """`save(store, b"a model", commit=…)`: a saved baseline with one file of this content."""

    def save(store, content=b"a model", **changes):
        path = tmp_path / "made.onnx"
        path.write_bytes(content)
        file = BaselineFile(name="model.onnx", sha256=hashlib.sha256(content).hexdigest(), size_bytes=len(content))
        variant = BaselineVariant(format="onnx", files=(file,), sha256=file.sha256, artifact={})
        fields = {
            "test_id": TEST,
            "name": NAME,
            "saved_at": SAVED,
            "branch": "main",
            "environment": HERE,
            "variants": {"int8": variant},
        }
        return Baselines(store).save(Manifest(**{**fields, **changes}), {file.sha256: path})

    return save


@pytest.fixture
def store(repository):
    return Store(repository.root / ".inferopt")


@pytest.fixture
def source(repository, store):
    """`source("auto")`: where the baselines of a session in the repository come from."""
    made = []

    def source(text, **changes):
        made.append(BaselineSource(text, **{"store": store, "root": repository.root, "environ": {}, **changes}))
        return made[-1]

    yield source
    for found in made:
        found.close()
    assert not list(store.root.glob("work/*"))


def identity(manifest, source, *notes, saved_at=SAVED):
    return BaselineIdentity(
        source=source,
        commit=manifest.commit,
        branch=manifest.branch,
        saved_at=saved_at,
        is_dirty=manifest.is_dirty,
        environment=HERE,
        notes=notes,
    )


def found(source, folder=None):
    """The manifest and identity of what is found; with a folder, the content of its file too."""
    answer = source.find(TEST, NAME)
    assert isinstance(answer, Found), answer
    if folder is None:
        return answer.manifest, answer.identity
    return answer.identity, answer.baselines.open_files(answer.manifest, "int8", folder).read_bytes()


# --- auto and none ------------------------------------------------------------------------------------------------


def test_f75_where_none_is_asked_for_there_is_none_whatever_is_saved(source, store, repository, save):
    save(store, commit=repository.base)
    assert source("none").find(TEST, NAME) == Absent("none was asked for (--inferopt-baseline=none).")


def test_the_clean_baseline_of_the_merge_base_is_the_one(source, store, repository, save):
    saved = save(store, commit=repository.base)
    save(store, b"accepted", commit="b" * 40, accepted_at=ACCEPTED)
    save(store, b"dirty", commit=repository.base, is_dirty=True)
    save(store, b"another model's", commit=repository.base, name="other")
    assert found(source("auto")) == (saved, identity(saved, "merge base"))
    assert found(source("auto"))[1].text == f"merge base {repository.base[:7]}"


def test_on_the_default_branch_it_is_that_of_the_nearest_commit_before(source, store, repository, save):
    earlier = save(store, b"earlier", commit=repository.base)
    repository.git("checkout", "--quiet", "main")
    for number in (2, 3):
        (repository.root / "code.py").write_text(f"{number}")
        head = repository.commit("code.py")
    save(store, b"its own", commit=head)
    save(store, b"accepted long ago", commit="b" * 40, accepted_at=ACCEPTED)
    assert found(source("auto")) == (earlier, identity(earlier, "earlier commit"))
    assert found(source("auto"))[1].text == f"earlier commit {repository.base[:7]}"


def test_on_the_default_branch_its_own_is_taken_where_it_was_accepted_or_files_were_changed(
    source, store, repository, save
):
    save(store, b"earlier", commit=repository.base)
    repository.git("checkout", "--quiet", "main")
    (repository.root / "code.py").write_text("2")
    head = repository.commit("code.py")
    own = save(store, b"its own", commit=head)
    (repository.root / "code.py").write_text("3")
    assert found(source("auto")) == (own, identity(own, "merge base"))
    repository.git("checkout", "--quiet", "--", "code.py")
    accepted = save(store, b"accepted", commit=head, accepted_at=ACCEPTED)
    assert found(source("auto")) == (accepted, identity(accepted, "merge base"))


def test_else_the_one_that_was_accepted_last_is(source, store, repository, save):
    save(store, b"older", commit="c" * 40, accepted_at=SAVED)
    saved = save(store, commit="b" * 40, accepted_at=ACCEPTED, is_dirty=True)
    save(store, b"recorded", commit="d" * 40)
    note = f"Nothing is saved of the merge base {repository.base[:7]} with main."
    assert found(source("auto")) == (saved, identity(saved, "accepted", note, saved_at=ACCEPTED))
    assert found(source("auto"))[1].text == "accepted 2030-01-03 (bbbbbbb+)"


ON_THE_BRANCH = "It was accepted on this branch, so it takes the place of the merge base {base}."


def test_what_was_accepted_on_the_branch_itself_comes_before_the_merge_base(source, store, repository, save):
    save(store, commit=repository.base)
    (repository.root / "code.py").write_text("2")
    head = repository.commit("code.py")
    accepted = save(store, b"slower", commit=head, branch="feature", accepted_at=ACCEPTED)
    save(store, b"another branch's", commit="f" * 40, branch="other", accepted_at=LATER)
    note = ON_THE_BRANCH.format(base=repository.base[:7])
    expected = accepted, identity(accepted, "accepted", note, saved_at=ACCEPTED)
    (repository.root / "code.py").write_text("3")
    repository.commit("code.py")
    assert found(source("auto")) == expected
    repository.git("commit", "--quiet", "--amend", "--message", "told otherwise")
    repository.git("checkout", "--quiet", "--detach")
    assert found(source("auto")) == expected


def test_what_was_accepted_before_its_commit_was_amended_or_made_is_accepted_on_its_branch(
    source, store, repository, save
):
    save(store, commit=repository.base)
    note = ON_THE_BRANCH.format(base=repository.base[:7])
    told = {"branch": "feature", "accepted_at": ACCEPTED}
    accepted = save(store, b"not committed yet", commit=repository.base, is_dirty=True, **told)
    expected = accepted, identity(accepted, "accepted", note, saved_at=ACCEPTED)
    assert found(source("auto")) == expected
    (repository.root / "code.py").write_text("2")
    head = repository.commit("code.py")
    repository.git("commit", "--quiet", "--amend", "--message", "told otherwise")
    accepted = save(store, b"amended", commit=head, **{**told, "accepted_at": LATER})
    assert found(source("auto")) == (accepted, identity(accepted, "accepted", note, saved_at=LATER))


@pytest.mark.parametrize(
    "told", [{"branch": "main"}, {"branch": "other"}, {"branch": None}, {"branch": "feature", "commit": None}]
)
def test_what_was_accepted_elsewhere_does_not_come_before_the_merge_base(source, store, repository, save, told):
    recorded = save(store, commit=repository.base)
    save(store, b"slower", **{"commit": repository.base, "is_dirty": True, "accepted_at": ACCEPTED, **told})
    assert found(source("auto")) == (recorded, identity(recorded, "merge base"))


def test_f75_without_either_there_is_none_and_it_is_said_how_to_come_to_one(source, store, repository, save):
    save(store, b"recorded", commit="d" * 40)
    reason = f"nothing is saved of the merge base {repository.base[:7]} with main, and none was accepted."
    repository.git("checkout", "--quiet", "main")
    before = f"Compare with the commit before: --inferopt-baseline=HEAD~1. {ACCEPT}"
    assert source("auto").find(TEST, NAME) == Absent(reason, before)
    there = f"Run there once, or rebuild it: --inferopt-baseline={repository.base[:7]}. {ACCEPT}"
    (repository.root / "code.py").write_text("2")
    assert source("auto").find(TEST, NAME) == Absent(reason, there)
    repository.commit("code.py")
    repository.git("checkout", "--quiet", "feature")
    (repository.root / "code.py").write_text("3")
    repository.commit("code.py")
    assert source("auto").find(TEST, NAME) == Absent(reason, there)


def test_f75_outside_of_a_repository_there_is_only_what_was_accepted(source, tmp_path, store, save):
    (tmp_path / "plain").mkdir()
    outside = source("auto", root=tmp_path / "plain")
    why = "there is no merge base: this is no git repository, or git is not installed"
    next_step = "With --inferopt-update-baseline, what is measured becomes one."
    assert outside.find(TEST, NAME) == Absent(f"{why}, and none was accepted.", next_step)
    saved = save(store, accepted_at=ACCEPTED)
    assert found(outside) == (saved, identity(saved, "accepted", f"T{why[1:]}.", saved_at=ACCEPTED))


def test_the_branch_that_a_pull_request_is_to_be_merged_into_is_asked_about(source, store, repository, save):
    repository.git("branch", "release")
    (repository.root / "code.py").write_text("2")
    repository.commit("code.py")
    repository.git("branch", "--force", "release")
    saved = save(store, commit=repository.git("rev-parse", "HEAD"))
    assert found(source("auto", environ={"GITHUB_BASE_REF": "release"}))[0] == saved


def test_f76_a_damaged_baseline_is_told_once_and_is_none_then(source, store, repository, save):
    save(store, commit=repository.base)
    (path,) = store.root.glob("baselines/*/*.json")
    path.write_text("{")
    with pytest.raises(NotMeasuredError, match=re.escape(str(path))):
        source("auto").find(TEST, NAME)
    assert isinstance(source("auto").find(TEST, NAME), Absent)


# --- a commit -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["main", "HEAD~0", "feature", "refs/heads/main"])
def test_a_commit_by_any_name_has_what_was_saved_of_it(source, store, repository, save, text):
    saved = save(store, commit=repository.base)
    assert found(source(text)) == (saved, identity(saved, "recorded"))


def test_a_commit_of_which_nothing_is_saved_is_rebuilt(source, store, repository, save):
    asked = []

    def rebuild(commit, test_id, name):
        asked.append((commit, test_id, name))
        return save(store, commit=commit) if name == NAME else Absent("it cannot be made.", "Look why.")

    rebuilding = source("main", rebuild=rebuild)
    manifest, told = found(rebuilding)
    assert told == identity(manifest, "rebuilt")
    assert rebuilding.find(TEST, "other") == Absent("it cannot be made.", "Look why.")
    assert asked == [(repository.base, TEST, NAME), (repository.base, TEST, "other")]
    assert found(rebuilding) == (manifest, identity(manifest, "recorded"))


def test_where_nobody_rebuilds_there_is_none(source, repository):
    assert source("main").find(TEST, NAME) == Absent(f"nothing is saved of main ({repository.base[:7]}).", ACCEPT)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("release/1", ""),
        ("--help", ""),
        ("~nobody-has-this-home/x", ""),
        ("a\nb", ""),
        ("auot", "did you mean 'auto'? "),
        ("x" * 5000, ""),
    ],
)
def test_what_is_neither_a_path_nor_a_commit_is_a_usage_error_that_names_both_ways(source, text, hint):
    with pytest.raises(UsageError) as caught:
        source(text)
    assert re.fullmatch(
        r"--inferopt-baseline=.{1,200}: there is no such folder or bundle \(.*\), and git knows no such commit\.",
        caught.value.message,
        re.DOTALL,
    )
    assert caught.value.hint == (
        f"{hint}Name a store, an unpacked bundle or a bundle file, or a branch, a tag or a commit that is fetched."
    )
    assert caught.value.message.isprintable()


# --- folders and bundles ------------------------------------------------------------------------------------------


@pytest.fixture
def bundle(tmp_path, save):
    """`bundle(path, b"a model", commit=…)`: write a bundle of one baseline."""

    def bundle(path, content=b"a model", **changes):
        other = Store(tmp_path / "elsewhere" / hashlib.sha256(content).hexdigest()[:8])
        manifest = save(other, content, **changes)
        export_bundle([manifest], Baselines(other), path)
        return manifest

    return bundle


def test_a_bundle_outside_of_the_repository_is_read_as_it_is(source, bundle, tmp_path):
    saved = bundle(tmp_path / "b.zip", commit="b" * 40)
    told = source(str(tmp_path / "b.zip"))
    assert found(told, tmp_path / "work") == (identity(saved, "bundle"), b"a model")
    holds = f"{tmp_path / 'b.zip'} holds no baseline of this test; it holds 1 of others."
    assert told.find(TEST, "other") == Absent(holds, ACCEPT)


def test_an_empty_bundle_says_so(source, store, tmp_path):
    export_bundle([], Baselines(store), tmp_path / "b.zip")
    holds = f"{tmp_path / 'b.zip'} holds no baseline of this test; it holds none at all."
    assert source(str(tmp_path / "b.zip")).find(TEST, NAME) == Absent(holds, ACCEPT)


def test_a_folder_is_another_store_or_an_unpacked_bundle(source, save, bundle, tmp_path):
    saved = save(Store(tmp_path / "other"), commit="b" * 40)
    assert found(source(str(tmp_path / "other")), tmp_path / "1") == (identity(saved, "folder"), b"a model")
    bundle(tmp_path / "b.zip", commit="b" * 40)
    shutil.unpack_archive(tmp_path / "b.zip", tmp_path / "unpacked")
    assert found(source(str(tmp_path / "unpacked")), tmp_path / "2") == (identity(saved, "folder"), b"a model")


def test_of_several_in_a_folder_the_merge_bases_comes_first_then_the_accepted_then_the_newest(
    source, save, repository, tmp_path
):
    other = Store(tmp_path / "other")
    expected = []
    for content, changes in (
        (b"old", {"commit": "b" * 40, "saved_at": "2029-01-01T00:00:00+00:00"}),
        (b"new", {"commit": "c" * 40}),
        (b"accepted", {"commit": "b" * 40, "accepted_at": ACCEPTED}),
        (b"merge base", {"commit": repository.base}),
    ):
        save(other, content, **changes)
        expected.append(content)
        assert found(source(str(tmp_path / "other")), tmp_path / content.decode())[1] == content
    assert len(expected) == 4


def test_a_relative_path_counts_from_where_it_was_typed_and_a_tilde_is_the_home_folder(
    source, bundle, tmp_path, monkeypatch
):
    bundle(tmp_path / "b.zip", commit="b" * 40)
    monkeypatch.setenv("HOME", str(tmp_path))
    for told in (source("../b.zip"), source("b.zip", base=tmp_path), source("~/b.zip")):
        assert (told.kind, found(told)[0].commit) == ("bundle", "b" * 40)


def test_a_path_wins_over_a_commit_of_the_same_name_and_says_so(source, save, repository):
    saved = save(Store(repository.root / "main"), commit="b" * 40)
    note = f"main names a commit too; the path was taken. The commit is {repository.base[:7]}."
    assert found(source("main")) == (saved, identity(saved, "folder", note))


def test_a_folder_that_holds_no_baselines_is_a_usage_error_that_names_the_commit_of_that_name(source, repository):
    (repository.root / "main").mkdir()
    with pytest.raises(UsageError) as caught:
        source("main")
    path = repository.root / "main"
    assert str(caught.value) == (
        f"{path} is no folder of baselines: there is no folder 'baselines' in it. Name a store or an unpacked bundle. "
        f"main names a commit too; the path was taken. The commit is {repository.base[:7]}."
    )


# --- a baseline that comes with the change which it judges --------------------------------------------------------


def of_the_merge_base(repository, write, name):
    """Commit a baseline on main and have `feature` leave from there; the merge base."""
    repository.git("checkout", "--quiet", "main")
    write(repository.root / name, b"of the base")
    repository.base = repository.commit(name)
    repository.git("checkout", "--quiet", "-B", "feature")


@pytest.fixture(params=["bundle", "folder"])
def write(request, bundle, save):
    """`write(path, content)`: a bundle, or a store, with one baseline in place of what was there."""

    def write(path, content):
        if request.param == "bundle":
            return bundle(path, content, commit="b" * 40)
        shutil.rmtree(path, ignore_errors=True)
        return save(Store(path), content, commit="b" * 40)

    write.kind = request.param
    return write


def test_f86_a_baseline_that_was_not_edited_in_this_change_is_read_as_it_is(source, repository, write, tmp_path):
    of_the_merge_base(repository, write, "base")
    (repository.root / "code.py").write_text("2")
    repository.commit("code.py")
    told, content = found(source("base"), tmp_path / "work")
    assert (told.source, told.notes, content) == (write.kind, (), b"of the base")


@pytest.mark.parametrize("way", ["committed", "staged", "in the working copy", "no longer tracked"])
def test_f86_of_a_baseline_that_was_edited_in_this_change_the_merge_bases_copy_is_used_and_flagged(
    source, repository, write, tmp_path, way
):
    of_the_merge_base(repository, write, "base")
    if way == "no longer tracked":
        repository.git("rm", "--quiet", "-r", "--cached", "base")
        repository.git("commit", "--quiet", "--message", "no longer tracked")
    write(repository.root / "base", b"slower")
    if way == "committed":
        repository.commit("base")
    elif way == "staged":
        repository.git("add", "--force", "base")
    told, content = found(source("base"), tmp_path / "work")
    note = f"base was edited in this change; the copy of the merge base {repository.base[:7]} was used."
    assert (told.source, told.notes, content) == (write.kind, (note,), b"of the base")


def test_f86_a_baseline_that_was_added_in_this_change_is_used_and_flagged(source, repository, write, tmp_path):
    write(repository.root / "base", b"new")
    repository.commit("base")
    told, content = found(source("base"), tmp_path / "work")
    note = f"base was added in this very change: the merge base {repository.base[:7]} has none."
    assert (told.notes, content) == ((note,), b"new")


def test_f86_a_baseline_that_git_does_not_track_is_nobodys_change(source, repository, write, tmp_path):
    write(repository.root / "base", b"downloaded")
    told, content = found(source("base"), tmp_path / "work")
    assert (told.notes, content) == ((), b"downloaded")


def test_f86_behind_a_link_too_the_merge_bases_copy_is_used(source, repository, write, tmp_path):
    of_the_merge_base(repository, write, "base")
    write(repository.root / "base", b"slower")
    (repository.root / "link").symlink_to("base")
    repository.commit("base", "link")
    told, content = found(source("link"), tmp_path / "work")
    assert (len(told.notes), content) == (1, b"of the base")


def test_f86_where_nobody_knows_the_merge_base_it_is_said_that_nobody_knows(source, repository, write, tmp_path):
    of_the_merge_base(repository, write, "base")
    repository.git("branch", "--quiet", "-D", "main")
    told, content = found(source("base"), tmp_path / "work")
    note = "Whether base was edited in this change is not known: the default branch is not known."
    assert (told.notes, content) == ((note,), b"of the base")


def test_without_a_merge_base_a_baseline_outside_of_the_repository_needs_none(source, repository, write, tmp_path):
    repository.git("branch", "--quiet", "-D", "main")
    write(tmp_path / "base", b"downloaded")
    told, content = found(source(str(tmp_path / "base")), tmp_path / "work")
    assert (told.notes, content) == ((), b"downloaded")


def test_closing_twice_is_no_mistake(source, bundle, tmp_path):
    bundle(tmp_path / "b.zip", commit="b" * 40)
    told = source(str(tmp_path / "b.zip"))
    found(told)
    told.close()
    told.close()
