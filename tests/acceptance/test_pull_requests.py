"""What `init` writes for pull requests and commits: it parses, it names what exists, and its steps do what they say."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest

from connector import __version__
from connector.cli import COMMANDS, stagekeeper
from connector.rulebook.reading import read_bytes, read_file
from tests.running import Ran, environment
from tests.running import stagekeeper as run

TOP = Path(__file__).parent.parent.parent
WORKFLOW = Path(".github", "workflows", "stagekeeper.yml")
HOOKS = Path(".pre-commit-config.yaml")
PINNED = re.compile(r"^[\w.-]+/[\w.-]+@[0-9a-f]{40}$")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A repository to be."""
    done = run("init", "--github-actions", "--pre-commit", folder=tmp_path)
    assert done.code == 0, done.err
    assert done.out.splitlines()[-2:] == [f"wrote {WORKFLOW}", f"wrote {HOOKS}"]
    return tmp_path


@pytest.fixture
def workflow(folder: Path) -> dict[str, Any]:
    document, problems = read_file(folder / WORKFLOW)
    assert document is not None
    assert problems == []
    data: dict[str, Any] = document.data
    return data


def steps(workflow: dict[str, Any]) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def step(workflow: dict[str, Any], job: str, name: str) -> dict[str, Any]:
    return next(one for one in workflow["jobs"][job]["steps"] if one.get("name") == name)


def bash(script: str, folder: Path, **env: str) -> Ran:
    """Run a step as GitHub does: https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax"""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
        cwd=folder, env={**environment(), "PATH": path, **env}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return Ran(done.returncode, done.stdout, done.stderr)


def called(text: str) -> list[list[str]]:
    """Give the calls of `stagekeeper` in a script, word by word."""
    return [line.split() for line in re.findall(r"(?:^|then )stagekeeper ([^;|>\n]+)", text, re.MULTILINE)]


def options_of(command: click.Command) -> set[str]:
    return {name for parameter in command.params for name in parameter.opts}


def assert_exists(words: list[str]) -> None:
    """Fail when a call has a command or an option that does not exist."""
    name = next(word for word in words if not word.startswith("-"))
    command = stagekeeper.get_command(click.Context(stagekeeper), name)
    assert name in COMMANDS
    assert command is not None
    given = {word for word in words if word.startswith("-")}
    assert given <= options_of(command) | options_of(stagekeeper)


# --- the workflow -----------------------------------------------------------------------------------------------------


def test_every_command_and_option_in_the_workflow_exists(workflow: dict[str, Any]) -> None:
    calls = [words for one in steps(workflow) for words in called(one.get("run", ""))]
    assert [next(word for word in words if not word.startswith("-")) for words in calls] == [
        "check", "check", "test", "plan"]  # fmt: skip
    for words in calls:
        assert_exists(words)


def test_it_runs_on_pull_requests_with_pinned_actions_and_least_permissions(workflow: dict[str, Any]) -> None:
    assert list(workflow["on"]) == ["pull_request"], "never pull_request_target, which has secrets for forks"
    assert workflow["permissions"] == {}
    assert {name: job["permissions"] for name, job in workflow["jobs"].items()} == {
        "rules": {"contents": "read"}, "plan": {"contents": "read", "pull-requests": "write"}}  # fmt: skip
    used = [one["uses"] for one in steps(workflow) if "uses" in one]
    assert used
    assert [name for name in used if not PINNED.match(name)] == []
    assert workflow["env"]["STAGEKEEPER"] == f"stagekeeper=={__version__}"
    checkouts = [one["with"] for one in steps(workflow) if one.get("uses", "").startswith("actions/checkout")]
    assert checkouts == [{"persist-credentials": False}] * 2


def test_secrets_are_in_the_hands_of_the_steps_that_need_them_alone(workflow: dict[str, Any]) -> None:
    holding = [one["name"] for one in steps(workflow) if "secrets." in json.dumps(one)]
    assert holding == ["Is there a token?", "Plan"]
    assert "secrets." not in json.dumps(workflow["jobs"]["rules"])
    assert workflow["jobs"]["plan"]["if"] == "github.event.pull_request.head.repo.full_name == github.repository"
    for one in steps(workflow):  # what a stranger may write is never put into a script
        assert "${{" not in one.get("run", "")


def test_the_steps_for_check_and_test_pass_on_what_init_writes(folder: Path, workflow: dict[str, Any]) -> None:
    check, test = step(workflow, "rules", "Check"), step(workflow, "rules", "Test")
    done = bash(check["run"], folder, **check["env"])
    assert (done.code, done.out) == (0, "")
    done = bash(test["run"], folder)
    assert done.code == 0
    assert done.out.endswith(" passed, 0 failed, 0 errored\n")


def test_the_steps_for_check_and_test_fail_on_rules_that_are_wrong(folder: Path, workflow: dict[str, Any]) -> None:
    check, test = step(workflow, "rules", "Check"), step(workflow, "rules", "Test")
    pack = folder / "rules" / "default.yaml"
    good = pack.read_text(encoding="utf-8")
    pack.write_text(good.replace("stage: prospect\n", "stage: prospekt\n", 1), encoding="utf-8")
    assert bash(check["run"], folder, **check["env"]).code == 3
    pack.write_text(good.replace("{is: yes}", "{is: no}"), encoding="utf-8")
    assert bash(test["run"], folder).code == 4
    (folder / "config.yaml").unlink()
    assert bash(check["run"], folder).code == 0, "a repository of rules need not hold the configuration"


@pytest.mark.parametrize(("token", "there"), [("pat-eu1-x", "there=yes\n"), ("", "there=\n")])
def test_there_is_a_plan_only_where_there_is_a_token(
    folder: Path, workflow: dict[str, Any], token: str, there: str
) -> None:
    output = folder / "output"
    script = step(workflow, "plan", "Is there a token?")["run"]
    assert bash(script, folder, TOKEN=token, GITHUB_OUTPUT=str(output)).code == 0
    assert output.read_text(encoding="utf-8") == there
    after = workflow["jobs"]["plan"]["steps"][1:]
    assert {one["if"] for one in after} == {"steps.token.outputs.there == 'yes'"}


GH = """#!/usr/bin/env python3
import json, pathlib, sys
held = pathlib.Path("comments.json")
comments = json.loads(held.read_text()) if held.exists() else []
words = sys.argv[1:]
if "--jq" in words:
    assert words[:3] == ["api", "--paginate", "repos/acme/rules/issues/7/comments"], words
    for one in comments:
        if one["type"] == "Bot" and one["body"].startswith("<!-- stagekeeper plan -->"):
            print(one["id"])
    sys.exit()
method, path, field = words[words.index("--method") + 1:][:2] + [words[-1]]
body = pathlib.Path(field.removeprefix("body=@")).read_text()
if method == "POST":
    assert path == "repos/acme/rules/issues/7/comments", path
    comments.append({"id": 100 + len(comments), "type": "Bot", "body": body})
else:
    id_ = int(path.removeprefix("repos/acme/rules/issues/comments/"))
    next(one for one in comments if one["id"] == id_)["body"] = body
held.write_text(json.dumps(comments))
"""
"""Stands in for GitHub's command as far as the step calls it."""


def test_a_pull_request_has_one_comment_however_often_the_plan_changes(
    folder: Path, workflow: dict[str, Any]
) -> None:
    gh = folder / "bin" / "gh"
    gh.parent.mkdir()
    gh.write_text(GH, encoding="utf-8")
    gh.chmod(0o755)
    comment = step(workflow, "plan", "Comment")
    assert set(comment["env"]) == {"GH_TOKEN", "NUMBER"}
    other = {"id": 1, "type": "User", "body": "<!-- stagekeeper plan --> quoted by somebody"}
    (folder / "comments.json").write_text(json.dumps([other]), encoding="utf-8")
    path = f"{gh.parent}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    for plan in ("3 would move", "5 would move\n", "x" * 70_000):
        (folder / "plan.txt").write_text(plan, encoding="utf-8")
        done = bash(comment["run"], folder, GITHUB_REPOSITORY="acme/rules", NUMBER="7", GH_TOKEN="-", PATH=path)
        assert (done.code, done.err) == (0, "")
        first, second = json.loads((folder / "comments.json").read_text(encoding="utf-8"))
        assert first == other
        assert second["id"] == 101
        assert f"```text\n{plan[:60_000]}" in second["body"]
        assert second["body"].endswith("\n```\n")
        assert len(second["body"]) < 65_536, "GitHub takes no longer comment"


def test_the_plan_step_says_what_a_person_reads(workflow: dict[str, Any]) -> None:
    plan = step(workflow, "plan", "Plan")
    assert plan["run"] == "stagekeeper --quiet plan --format text > plan.txt"
    assert set(plan["env"]) == {"HUBSPOT_ACCESS_TOKEN", "HUBSPOT_CLIENT_SECRET"}


def test_installing_knows_about_the_c_source_of_durable_rules(folder: Path, workflow: dict[str, Any]) -> None:
    installs = [one["run"] for one in steps(workflow) if one.get("name") == "Install"]
    assert len(installs) == 2
    for script in installs:
        said = bash(script.replace("python -m pip install", "echo $CPPFLAGS"), folder, STAGEKEEPER="-")
        wanted = "-DPyEval_CallObject=PyObject_CallObject" if sys.version_info >= (3, 13) else ""
        assert (said.code, said.out.split("--")[0].strip()) == (0, wanted)


# --- what is there already --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("option", "path"), [("--github-actions", WORKFLOW), ("--pre-commit", HOOKS)])
def test_what_is_there_already_is_never_overwritten(folder: Path, option: str, path: Path) -> None:
    (folder / path).write_text("mine", encoding="utf-8")
    done = run("init", option, folder=folder)
    assert (done.code, done.out) == (7, "")
    assert f"{path} is there already, and nothing was written; move it away" in done.err
    assert (folder / path).read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize(("option", "path"), [("--github-actions", WORKFLOW), ("--pre-commit", HOOKS)])
def test_where_there_are_rules_already_nothing_but_the_file_is_written(
    tmp_path: Path, option: str, path: Path
) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "mine.yaml").write_text("mine", encoding="utf-8")
    done = run("init", option, folder=tmp_path)
    assert (done.code, done.out) == (0, f"wrote {path}\n")
    assert sorted(each.name for each in (tmp_path / "rules").iterdir()) == ["mine.yaml"]
    assert not (tmp_path / "config.yaml").exists()


# --- hooks ------------------------------------------------------------------------------------------------------------


def hooks_of(path: Path) -> list[dict[str, Any]]:
    document, problems = read_bytes(path.read_bytes(), file=path.name)
    assert document is not None
    assert problems == []
    data = document.data
    return data if isinstance(data, list) else [hook for repo in data["repos"] for hook in repo["hooks"]]


def all_hooks(folder: Path) -> dict[str, list[dict[str, Any]]]:
    return {"shared": hooks_of(TOP / ".pre-commit-hooks.yaml"), "local": hooks_of(folder / HOOKS)}


def test_the_hooks_call_commands_that_exist(folder: Path) -> None:
    for hooks in all_hooks(folder).values():
        assert [hook["id"] for hook in hooks] == ["stagekeeper-check", "stagekeeper-test"]
        for hook in hooks:
            ((*words,),) = called(hook["entry"])
            assert_exists(words)
            assert hook["require_serial"] is True
    assert {hook["language"] for hook in hooks_of(TOP / ".pre-commit-hooks.yaml")} == {"python"}


def test_the_hooks_get_rules_and_nothing_else(folder: Path) -> None:
    rules = ["rules/default.yaml", "rules/default_test.yaml", "rules/two-way.yaml"]
    others = ["config.yaml", "rules/README.md", "myrules/a.yaml", "rules/a.yaml.bak", ".stagekeeper/pack.schema.json",
              ".github/workflows/stagekeeper.yml", "docs/rules.yaml", "rules/deeper/a.yaml"]  # fmt: skip
    for hooks in all_hooks(folder).values():
        for hook in hooks:
            assert [path for path in (*rules, *others) if re.search(hook["files"], path)] == rules


def test_the_hooks_pass_good_rules_and_stop_bad_ones(folder: Path) -> None:
    changed = "rules/default.yaml rules/default_test.yaml"
    for hook in hooks_of(TOP / ".pre-commit-hooks.yaml"):
        assert bash(f"{hook['entry']} {changed}", folder).code == 0
    pack = folder / "rules" / "default.yaml"
    pack.write_text(pack.read_text(encoding="utf-8").replace("{is: yes}", "{is: no}"), encoding="utf-8")
    codes = [bash(f"{hook['entry']} rules/default.yaml", folder).code for hook in hooks_of(folder / HOOKS)]
    assert codes == [0, 4]
