"""`stagekeeper --help` and `--version` are quick: they load click and little else; no clock is asked about it."""

import subprocess
import sys

import pytest

import connector

LIGHT = {"click"}
"""What comes from outside, by name."""
_CODE = """
import sys
before = set(sys.modules)
from connector.cli import main
sys.argv = ["stagekeeper", {option!r}]
try:
    main()
except SystemExit as leaving:
    assert not leaving.code
print(*sorted(set(sys.modules) - before), sep="\\n", file=sys.stderr)
"""


def loaded(option: str) -> tuple[str, set[str]]:
    """Give what is printed, and the modules that were loaded for it."""
    code = _CODE.format(option=option)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout, set(done.stderr.split())


@pytest.mark.parametrize(("option", "says"), [("--help", "reconcile"), ("--version", connector.__version__)])
def test_what_only_tells_loads_click_and_the_standard_library_alone(option: str, says: str) -> None:
    printed, modules = loaded(option)
    assert says in printed
    foreign = {name.partition(".")[0] for name in modules} - sys.stdlib_module_names - {"connector"}
    assert {name for name in foreign if not name.startswith("_")} <= LIGHT


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_what_only_tells_loads_no_command_and_nothing_that_works(option: str) -> None:
    _, modules = loaded(option)
    ours = {name.partition(".")[2] for name in modules if name.startswith("connector.")}
    assert ours <= {"cli", "collecting", "errors", "problems"}
