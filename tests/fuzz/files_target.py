"""What stands in files: packs, cases and configurations, whole or spoilt, as text and as data."""

import contextlib
import functools
import random
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import orjson

from connector.config import load_config
from connector.decision import NO_MEMORY, decide, see_case
from connector.problems import Problem, is_broken
from connector.rulebook.cases import judge_case, load_cases
from connector.rulebook.checking import check_pack, load_pack_text
from connector.rulebook.judging import Rulebook
from connector.rulebook.pack import Pack
from connector.rulebook.reading import Document, read_bytes
from tests.fuzz.mutations import spoil_bytes, spoil_tree
from tests.rulebooks import NOW, some_contact

ROOT = Path(__file__).parents[2]
SECRET = "the-secret-under-test"
ENVIRONMENT = {"HUBSPOT_ACCESS_TOKEN": SECRET, "HUBSPOT_CLIENT_SECRET": SECRET, "X": "1"}
SMALL = 9_000


@cache
def texts(pattern: str, most: int = 1_000_000) -> tuple[bytes, ...]:
    """Give the repository's own files that match, up to a size."""
    return tuple(raw for path in sorted(ROOT.glob(pattern)) if len(raw := path.read_bytes()) <= most)


@cache
def trees(pattern: str) -> tuple[Any, ...]:
    """Give the same as data; texts that are no YAML are left out."""
    found = (read_bytes(raw, file="f.yaml") for raw in texts(pattern))
    return tuple(document.data for document, problems in found if document is not None and not problems)


def _outcome(value: object, problems: list[Problem]) -> str:
    for problem in problems:
        assert problem.place.line >= 1
        str(problem)
    assert (value is None) == is_broken(problems), "a value beside an error, or neither"
    return "taken" if value is not None else "refused with its problems"


def check_a_tree(rng: random.Random) -> str:
    """Check the data of a pack, and let what passes decide about somebody."""
    tree = spoil_tree(rng, rng.choice([*trees("rules/*[!t].yaml"), *trees("tests/data/rules_*/*.yaml")]))
    pack, problems = check_pack(Document(file="f.yaml", data=tree, keys={}, values={}))
    if pack is not None:
        _decide(rng, pack)
    return _outcome(pack, problems)


def check_a_text(rng: random.Random) -> str:
    """Read and check the text of a pack."""
    small = (*texts("tests/data/rules_*/*.yaml", SMALL), *texts("rules/bant.yaml", SMALL))
    raw = spoil_bytes(rng, rng.choice(small), texts("rules/*.yaml"))
    document, problems = read_bytes(raw, file="f.yaml")
    pack, problems = (None, problems) if document is None else check_pack(document, problems)
    if pack is not None:
        _decide(rng, pack)
    return _outcome(pack, problems)


def _decide(rng: random.Random, pack: Pack) -> None:
    decide(Rulebook(pack), some_contact(rng.randrange(10**6)), NO_MEMORY, NOW)


@cache
def _pack() -> Pack:
    pack, problems = load_pack_text((ROOT / "rules" / "bant.yaml").read_text("utf-8"))
    assert pack is not None, problems
    return pack


@contextlib.contextmanager
def cases() -> Iterator[Callable[[random.Random], str]]:
    """Give what reads and judges one case file."""
    rulebook = Rulebook(_pack())

    def one(path: Path, rng: random.Random) -> str:
        tree = rng.choice(trees("rules/*_test.yaml"))
        start = rng.randrange(len(tree["cases"]))
        short = {**tree, "cases": tree["cases"][start : start + 2]}
        raw = orjson.dumps(spoil_tree(rng, short), option=orjson.OPT_INDENT_2)
        path.write_bytes(spoil_bytes(rng, raw) if rng.random() < 0.3 else raw)
        found, problems = load_cases(path)
        see = functools.partial(see_case, rulebook)
        results = [judge_case(case, rulebook.pack, see) for case in found.cases] if found else []
        assert {result.result for result in results} <= {"passed", "failed", "errored"}
        assert found is not None or is_broken(problems)
        return "read and judged" if found else "refused with its problems"

    with tempfile.TemporaryDirectory(prefix="stagekeeper-fuzz-") as folder:
        yield functools.partial(one, Path(folder) / "f_test.yaml")


@contextlib.contextmanager
def configurations() -> Iterator[Callable[[random.Random], str]]:
    """Give what reads one configuration."""
    raw = (ROOT / "config.example.yaml").read_bytes()
    [tree] = trees("config.example.yaml")

    def one(path: Path, rng: random.Random) -> str:
        if rng.random() < 0.5:
            path.write_bytes(spoil_bytes(rng, raw, (raw,)))
        else:
            path.write_bytes(orjson.dumps(spoil_tree(rng, tree), option=orjson.OPT_INDENT_2))
        config, problems = load_config(path, ENVIRONMENT)
        assert SECRET not in "".join(map(str, problems)), "a secret was shown"
        assert SECRET not in repr(config), "a secret was shown"
        return _outcome(config, problems)

    with tempfile.TemporaryDirectory(prefix="stagekeeper-fuzz-") as folder:
        yield functools.partial(one, Path(folder) / "config.yaml")
