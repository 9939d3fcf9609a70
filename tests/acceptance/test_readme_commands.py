"""Every shell line of the README is run: those of its blocks by bash, as they stand, and those in its prose.

So are the lines by which the first chapter of the manual for rule authors lets somebody fill in a form.

One practice HubSpot, one `serve --no-worker` and one `worker`, real processes all, stand for the whole file, in the
folder where `stagekeeper init` has written its files; what the lines say of port 8080 is about that `serve`. In prose,
`stagekeeper …` is run in this process by the function that the installed command calls. The session of one chapter has
a test of its own (test_readme_session.py), because it says what comes out.

Where a machine for tests has not what a line needs, so much of it is run, and no more is claimed:

- `make TARGET`: `make --dry-run`, so the target, its variables and the module that it starts are there. `.ci/run` runs
  `make test`, `make demo`, and `make browser` where Chromium can be had; what takes long has a test of its short form
  (SHORT_FORMS). `make bench`, `make pictures` and `make audit` want a quiet machine or the internet: people run them.
- `pip install "stagekeeper[…]"`: `--dry-run --no-index`, all extras at once, where what they want is installed.
  `python3 -m venv` makes one without pip; `make wheel-demo`, which `.ci/run` runs, does that and `pip install` whole.
- `docker`: the files that are named are there, and `docker compose config` reads them where it is installed. What is in
  them is looked at by tests/unit/test_deploy.py, as are the units that `systemctl` is to start.
- `sudo cp`: into a folder of the test. `systemctl`: the unit is in `deploy/systemd`.
- What needs PostgreSQL, and what else runs until it is stopped: the tests in ELSEWHERE do that.
"""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import chdir
from dataclasses import dataclass
from importlib.util import find_spec
from json import JSONDecoder
from pathlib import Path

import pytest

from connector.cli import run
from connector.sandbox import Sandbox, SandboxOptions
from connector.sandbox.people import move_in
from tests.manual import read_manual
from tests.ports import free_port
from tests.practice import prepare
from tests.readme import SESSION, TOP, Block, blocks, commands_in_prose, text
from tests.running import answers, environment, running, wait_until

PEOPLE = 4
SECRETS = {"HUBSPOT_ACCESS_TOKEN": "pat-sandbox", "HUBSPOT_CLIENT_SECRET": "sandbox-secret"}
SHORT_FORMS = {
    "torture": "tests/acceptance/test_torture.py", "cluster": "tests/postgres/test_cluster.py",
    "fuzz": "tests/fuzz/test_fuzz.py",
}  # fmt: skip
BY_PEOPLE = ("bench", "pictures", "audit")
ELSEWHERE = {
    "stagekeeper serve": ("tests/acceptance/test_serving.py", 'running("serve", *arguments'),
    "stagekeeper serve --forget-grants": ("tests/integration/test_oauth.py", "forget=True"),
    "stagekeeper sandbox": ("README.md", "stagekeeper sandbox --prepared"),
    "stagekeeper demo": ("tests/acceptance/test_command.py", 'stagekeeper("demo"'),
    "stagekeeper db copy": ("tests/integration/test_copying.py", 'stagekeeper("db", "copy", "--to"'),
}
HERE = ("stagekeeper serve --no-worker", "stagekeeper worker")
BEFORE = {"stagekeeper apply plan.json": "plan --out plan.json"}
PRELUDE = f"""set -euo pipefail
there() {{ for word; do case $word in deploy/*) test -e "{TOP}/$word" ;; esac; done; }}
unset MAKEFLAGS MAKELEVEL
make() {{ command make --dry-run --no-print-directory --directory "{TOP}" "$@" > dry-run.txt; test -s dry-run.txt; }}
pip() {{ case "$*" in "install ." | "install stagekeeper["*) ;; *) false ;; esac; }}
python3() {{ if [ "$2" = venv ]; then command python3 "$@" --without-pip; else command python3 "$@"; fi; }}
docker() {{
  there "$@"
  if [ "$1" = compose ] && command docker compose version > /dev/null 2>&1; then
    (cd "{TOP}" && command docker compose "${{@:2:4}}" config --quiet)
  fi
}}
sudo() {{ "$@"; }}
cp() {{ mkdir -p "root$2" && there "$1" && command cp "{TOP}/$1" "root$2"; }}
systemctl() {{ test -e "{TOP}/deploy/systemd/${{@: -1}}.service"; }}
command -v curl > /dev/null || curl() {{ python3 -c 'import sys, urllib.request as u; u.urlopen(sys.argv[-1])' "$@"; }}
command -v sqlite3 > /dev/null \\
  || sqlite3() {{ python3 -c "import sqlite3 as s; s.connect('$1').backup(s.connect('copy.db'))"; }}
"""


@dataclass(frozen=True, slots=True)
class Ground:
    """Where the lines are run."""

    folder: Path
    port: int
    sandbox: Sandbox
    contacts: tuple[str, ...]

    def bash(self, script: str) -> subprocess.CompletedProcess[str]:
        """Run lines as a person would who has activated the environment, in the folder of the configuration."""
        path = f"{Path(sys.executable).parent}:{environment()['PATH']}"
        here = script.replace("127.0.0.1:8080", f"127.0.0.1:{self.port}")
        here = here.replace("http://127.0.0.1:9009", self.sandbox.address)
        return subprocess.run(
            ["bash", "-c", PRELUDE + here], cwd=self.folder, env=environment(PATH=path, **SECRETS), capture_output=True,
            text=True, timeout=120, check=False,
        )  # fmt: skip


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    folder, port = tmp_path_factory.mktemp("readme"), free_port()
    options = SandboxOptions(port=0, webhook_url=f"http://127.0.0.1:{port}/webhooks/hubspot")
    with chdir(folder):
        assert run(["init"]) == 0
    with Sandbox(options) as sandbox:
        prepare(sandbox)
        _fit(folder, port, sandbox)
        with (
            running("serve", "--no-worker", folder=folder, log=folder / "serve.log", env=SECRETS),
            running("worker", folder=folder, log=folder / "worker.log", env=SECRETS),
        ):
            wait_until(lambda: answers(f"http://127.0.0.1:{port}/readyz"), what="being ready")
            contacts = move_in(sandbox.portal, PEOPLE, seed=1)
            wait_until(lambda: all(sandbox.contact(one).get("sk_rule") for one in contacts), what="a first decision")
            yield Ground(folder, port, sandbox, contacts)


def _fit(folder: Path, port: int, sandbox: Sandbox) -> None:
    """Point what `init` has written at the practice HubSpot, with a candidate that `report shadow` can tell of."""
    file = folder / "config.yaml"
    told = file.read_text("utf-8").replace("https://api.hubapi.com", sandbox.address).replace(":8080", f":{port}")
    told = told.replace("https://hooks.example.com", f"http://127.0.0.1:{port}").replace("# shadow:", "shadow:")
    file.write_text(told, "utf-8")
    (folder / "rules" / "candidate.yaml").write_text((folder / "rules" / "default.yaml").read_text("utf-8"), "utf-8")


@pytest.mark.parametrize("block", [b for b in blocks() if b.kind == "sh" and b.chapter != SESSION], ids=str)
def test_the_lines_of_a_block_run_as_they_stand(ground: Ground, block: Block) -> None:
    done = ground.bash(block.text)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


def test_what_the_manual_has_its_reader_send_makes_ana_a_lead(ground: Ground) -> None:
    """The first chapter of rules/README.md; its other lines are run by tests/unit/test_manual.py, and above."""
    [sent] = [block.text for block in read_manual().blocks if block.language == "sh" and "curl" in block.text]
    done = ground.bash(sent)
    assert done.returncode == 0, done.stderr
    made, end = JSONDecoder().raw_decode(done.stdout)
    assert "ana@example.com" in done.stdout[end:]
    wait_until(lambda: ground.sandbox.contact(made["id"]).get("lifecyclestage") == "lead", what="that Ana is a lead")
    assert ground.sandbox.contact(made["id"])["sk_reason"] != ""


def is_run_here(line: str) -> bool:
    return line not in {*HERE, *ELSEWHERE} and "db copy" not in line


@pytest.mark.parametrize("line", [line for line in commands_in_prose("stagekeeper") if is_run_here(line)])
def test_a_line_of_the_prose_runs(ground: Ground, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ground.folder)
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    assert line not in BEFORE or run(BEFORE[line].split()) == 0
    forgets = line.startswith("stagekeeper erase")  # somebody of whom no other line tells; people are asked first
    named = {"ID": "4242", "CONTACT_ID": ground.contacts[-1 if forgets else 0]}
    words = [named.get(word, word) for word in shlex.split(line)[1:]]
    assert run([*words, "--yes"] if forgets else words) == 0


@pytest.mark.parametrize("line", commands_in_prose("make"))
def test_a_target_of_the_prose_would_start_what_there_is(ground: Ground, line: str) -> None:
    done = ground.bash(line)
    assert (done.returncode, done.stderr) == (0, "")
    target = line.split()[1]
    for module in re.findall(r"python -m (tests[\w.]*)", (ground.folder / "dry-run.txt").read_text("utf-8")):
        assert find_spec(module) is not None
    if target in SHORT_FORMS:
        assert f"from tests.{target}." in (TOP / SHORT_FORMS[target]).read_text("utf-8")
    elif target not in BY_PEOPLE:
        assert re.search(rf"^ *make {target}\b", (TOP / ".ci" / "run").read_text("utf-8"), re.MULTILINE)


def test_every_extra_that_is_named_is_one_that_pip_finds() -> None:
    extras = sorted(set(re.findall(r'pip\s+install\s+"(stagekeeper\[\w+\])"', text())))
    pip = [sys.executable, "-m", "pip", "--quiet", "install", "--dry-run", "--no-index", *extras]
    env = environment(PYTHONWARNINGS="", PIP_DISABLE_PIP_VERSION_CHECK="1")  # what pip does with libraries is its own
    done = subprocess.run(pip, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("line", ELSEWHERE)
def test_what_is_run_elsewhere_is_run_there(line: str) -> None:
    file, words = ELSEWHERE[line]
    assert words in (TOP / file).read_text("utf-8")
    assert line in text()
