"""The session in the README runs as it stands there, line by line, on the practice HubSpot."""

import re
import subprocess
import sys
from pathlib import Path

from tests.running import environment, free_port

README = Path(__file__).parent.parent.parent / "README.md"
SESSION = "## Change a rule, and see what it does first"


def session() -> str:
    """Give the commands of the session."""
    chapter = README.read_text(encoding="utf-8").split(SESSION, 1)[1].split("\n## ", 1)[0]
    found = re.search(r"```sh\n(.*?)```", chapter, re.DOTALL)
    assert found is not None
    return found[1]


def shown() -> str:
    """Give the table that the README shows of the second plan."""
    chapter = README.read_text(encoding="utf-8").split(SESSION, 1)[1]
    found = re.search(r"```text\n(from .*?)```", chapter, re.DOTALL)
    assert found is not None
    return found[1]


def test_the_session_in_the_readme_does_what_it_says(tmp_path: Path) -> None:
    port = free_port()
    commands = session().replace("--contacts 60", f"--contacts 60 --port {port}").replace(":9009", f":{port}")
    script = f"set -euo pipefail\ntrap 'kill %1' EXIT\n{commands}"
    path = f"{Path(sys.executable).parent}:{environment()['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environment(PATH=path), capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3_000:] + done.stderr[-3_000:]
    said = [line.rstrip() for line in done.stdout.splitlines()]
    for line in shown().splitlines():
        assert line in said
    assert "5 of 5 contacts done" in said
    assert any(line.startswith("why not opportunity? By the rule committed: ") for line in said)
