"""`action.yml` and the workflows to copy: what the tools that check them do not know."""

from __future__ import annotations

import re

import pytest
import yaml

from steps.inputs import read_inputs
from steps.main import STEPS
from steps.outputs import NOTHING

PLAN = {"INFEROPT_PLAN": "${{ steps.plan.outputs.plan }}"}
TOKEN = {"GITHUB_TOKEN": "${{ inputs.github-token }}"}
# What GitHub itself reads, and what no step of ours needs.
NOT_OURS = {"python-version", "artifact-retention-days", "github-token"}
PINNED = re.compile(r"^\s*(?:- )?uses: (?!\./|OWNER/)(\S+)@([0-9a-f]{40}) # (v\d+\.\d+\.\d+)$")


@pytest.fixture(scope="module")
def workflows(root):
    """The workflows to copy by name."""
    paths = sorted((root / "github_action" / "workflows").glob("*.yml"))
    return {path.stem: path.read_text(encoding="utf-8") for path in paths}


def named(steps, name):
    """The step that runs one of ours."""
    (step,) = (step for step in steps if step.get("run", "").endswith(f" {name}"))
    return step


def test_every_shell_line_is_one_call_of_a_step_which_gets_the_signals_of_the_runner(action):
    lines = [step["run"] for step in action["runs"]["steps"] if "run" in step]
    assert sorted(lines) == sorted(f'exec python3 "$GITHUB_ACTION_PATH/step.py" {name}' for name in STEPS)


def test_inputs_reach_a_step_through_its_environment_alone(action):
    given = named(action["runs"]["steps"], "plan")["env"]
    expected = {
        f"INPUT_{name.upper().replace('-', '_')}": f"${{{{ inputs.{name} }}}}"
        for name in action["inputs"]
        if name not in NOT_OURS
    }
    assert given == expected


def test_only_the_steps_that_talk_to_github_see_the_token(action):
    steps = action["runs"]["steps"]
    seen = {name: named(steps, name)["env"] for name in STEPS if name != "plan"}
    assert seen == {name: PLAN | (TOKEN if name in {"fetch", "publish"} else {}) for name in seen}


def test_the_defaults_of_the_inputs_are_those_of_the_steps(action):
    defaults = {f"INPUT_{name.upper().replace('-', '_')}": str(of["default"]) for name, of in action["inputs"].items()}
    left_out = {name: value for name, value in defaults.items() if name != "INPUT_EXTRAS"}
    assert read_inputs(left_out) == read_inputs({})


def test_every_output_is_set_by_a_step(action):
    told = {name: of["value"] for name, of in action["outputs"].items()}
    ours = {*NOTHING, "conclusion", "regressed", "report-path", "json-path"}
    assert told == {name: f"${{{{ steps.outputs.outputs.{name} }}}}" for name in ours} | {
        name: f"${{{{ steps.publish.outputs.{name} }}}}" for name in ("summary-path", "comment-id")
    }


def test_what_happened_is_told_however_the_steps_before_ended(action):
    steps = action["runs"]["steps"]
    at = steps.index(named(steps, "outputs"))
    assert all(step["if"].startswith("always() && ") for step in steps[at:])
    assert not any("always()" in step.get("if", "") for step in steps[:at])


def test_every_action_of_others_is_pinned_to_one_commit_with_its_version(root):
    places = [root / "github_action" / "action.yml", *root.glob("github_action/workflows/*.yml"),
              *root.glob(".github/workflows/*.yml")]  # fmt: skip
    pins = {}
    for path in places:
        for line in path.read_text(encoding="utf-8").splitlines():
            if re.match(r"\s*(- )?uses: (?!\./|OWNER/)", line):
                found = PINNED.match(line)
                assert found, f"{path}: {line}"
                name = "/".join(found[1].split("/")[:2])
                pins.setdefault(name, set()).add((found[2], found[3]))
    assert all(len(commits) == 1 for commits in pins.values()), pins


def test_the_readme_lists_every_input_with_its_default_and_every_output(action, root):
    readme = (root / "github_action" / "README.md").read_text(encoding="utf-8")
    inputs, outputs = (readme.partition(f"## {title}\n")[2].partition("\n## ")[0] for title in ("Inputs", "Outputs"))
    listed = dict(re.findall(r"^\| `([a-z-]+)` \| (.*?) ?\| ", inputs, re.MULTILINE))
    expected = {name: f"`{of['default']}`" if of["default"] else "" for name, of in action["inputs"].items()}
    assert listed == expected | {"github-token": "the job's"}
    rows = re.findall(r"^\| (`.*?`) \| ", outputs, re.MULTILINE)
    assert [name for row in rows for name in re.findall(r"`([a-z0-9-]+)`", row)] == list(action["outputs"])


def test_the_first_block_of_the_readme_is_a_part_of_the_smallest_workflow(root, workflows):
    readme = (root / "github_action" / "README.md").read_text(encoding="utf-8")
    block = re.search(r"```yaml\n(.*?)```", readme, re.DOTALL)[1]
    missing = [line for line in block.splitlines() if line not in workflows["minimal"].splitlines()]
    assert missing == []
    assert all(name in readme for name in workflows)


def test_the_smallest_workflow_uses_the_action_in_six_lines(workflows):
    text = workflows["minimal"]
    (permissions,) = re.findall(r"permissions: \{ contents: read, pull-requests: write \}", text)
    step = text[text.index("- uses: OWNER/") :]
    assert permissions
    assert len(step.splitlines()) <= 6
    assert "fetch-depth: 0, persist-credentials: false" in text


def test_the_job_that_may_write_checks_nothing_out_and_names_its_rights(workflows):
    (job,) = yaml.safe_load(workflows["fork-safe-comment"])["jobs"].values()
    assert [step["uses"] for step in job["steps"]] == ["OWNER/pytest-inferopt/github_action@v1"]
    assert job["permissions"] == {"actions": "read", "pull-requests": "write"}
    run = yaml.safe_load(workflows["fork-safe-run"])
    (measuring,) = run["jobs"].values()
    assert measuring["permissions"] == {"contents": "read"}
    # YAML 1.1 reads the word `on` as a truth.
    assert yaml.safe_load(workflows["fork-safe-comment"])[True]["workflow_run"]["workflows"] == [run["name"]]


def test_every_workflow_gives_no_right_but_those_that_a_job_names(workflows):
    for text in workflows.values():
        workflow = yaml.safe_load(text)
        assert workflow["permissions"] == {}
        assert all("permissions" in job and "timeout-minutes" in job for job in workflow["jobs"].values())
