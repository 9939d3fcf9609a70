"""The session in the README runs as it stands there, line by line, on the practice HubSpot.

What is put into the background is a process of its own, and what is more than a command is run by bash; the commands
between are run in this process, by the function that the installed command calls, for each start of it takes a second.
"""

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from connector.cli import run
from tests.ports import free_port
from tests.readme import SESSION, blocks
from tests.running import environment, running


@pytest.fixture
def background() -> Iterator[ExitStack]:
    with ExitStack() as processes:
        yield processes


def in_session(kind: str) -> str:
    """Give what the chapter shows of this kind: the commands, or the table of the second plan."""
    [found] = [block.text for block in blocks() if (block.kind, block.chapter) == (kind, SESSION)]
    return found


def do(line: str, background: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Do one line as a person would who has activated the environment."""
    words = shlex.split(line, comments=True)
    if words[-1:] == ["&"]:
        background.enter_context(running(*words[1:-1], folder=Path.cwd(), log=Path("background.log")))
    elif words[:1] == ["export"]:
        for name, _, value in (word.partition("=") for word in words[1:]):
            monkeypatch.setenv(name, value)
    elif words[:1] == ["stagekeeper"]:
        assert run(words[1:]) == 0, line
    else:
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", line], timeout=60, check=False, env=dict(os.environ))
        assert done.returncode == 0, line


def test_the_session_in_the_readme_does_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, background: ExitStack, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in environment(PATH=f"{Path(sys.executable).parent}:{environment()['PATH']}").items():
        monkeypatch.setenv(name, value)
    port = free_port()
    for line in in_session("sh").splitlines():
        do(line.replace("--contacts 60", f"--contacts 60 --port {port}").replace(":9009", f":{port}"),
           background, monkeypatch)  # fmt: skip

    said = [line.rstrip() for line in capfd.readouterr().out.splitlines()]
    for line in in_session("text").splitlines():
        assert line in said
    assert "5 of 5 contacts done" in said
    assert any(line.startswith("why not opportunity? By the rule committed: ") for line in said)
