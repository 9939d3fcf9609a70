"""How long a plan over many contacts of a file takes, and whether its memory stays where it is.

`python -m tests.bench.plans [--json] [--contacts N] [--pack NAME]`. The floor is reading the same file line by line as
JSON, with nothing judged. Everything runs as `stagekeeper plan --file … --out …` does, on one core; seconds are of
processor time. Why-not is measured on some of the same contacts: the slowest, and the median.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from connector.collecting import collect_seldom
from connector.config import load_config
from connector.decision import NO_MEMORY
from connector.rollout.run import Options, preview
from connector.rollout.source import as_line
from connector.rulebook.judging import NOTHING_KNOWN, Rulebook
from connector.rulebook.shipped import shipped_packs
from connector.whynot import why_not
from tests.bench.decisions import NOW, SEED, crowd, rss_mib
from tests.practice import write_config
from tests.rulebooks import shipped

CONTACTS = 100_000
ASKED = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """Seconds for the plan and for its floor; memory (MiB) before it, and more of it after a tenth and after all."""

    contacts: int
    pack: str
    seconds: float
    floor_seconds: float
    ratio: float
    rss_mib: dict[str, float]
    whynot_ms: dict[str, float]


def main(arguments: Sequence[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--contacts", type=int, default=CONTACTS)
    parser.add_argument("--pack", default="default", choices=shipped_packs())
    given = parser.parse_args(arguments)
    collect_seldom()
    with tempfile.TemporaryDirectory() as folder:
        outcome = measure(Path(folder), given.pack, given.contacts)
    if given.json:
        print(json.dumps({"seed": SEED, **asdict(outcome)}, indent=2))
        return 0
    print(f"a plan over {outcome.contacts:,} contacts of a file, pack {outcome.pack} (seed {SEED})\n")
    print(f"  reading, judging, counting, writing the plan  {outcome.seconds:8.1f} s")
    print(f"  floor: reading the file as JSON               {outcome.floor_seconds:8.1f} s   ratio {outcome.ratio:.1f}")
    for when, mib in outcome.rss_mib.items():
        print(f"  memory {when:<38} {mib:8.1f} MiB")
    print(f"  why not another stage, {ASKED} contacts: median {outcome.whynot_ms['median']:.1f} ms, ", end="")
    print(f"slowest {outcome.whynot_ms['slowest']:.1f} ms")
    return 0


def measure(folder: Path, pack: str, contacts: int) -> Outcome:
    """Plan a tenth of the contacts, then all of them."""
    tenth, whole = folder / "tenth.jsonl", folder / "all.jsonl"
    for path, number in ((tenth, contacts // 10), (whole, contacts)):
        with path.open("wb") as stream:
            stream.writelines(as_line(one, NO_MEMORY) for one in crowd(number, SEED))
    rss = {"before": rss_mib()}
    plan(folder, pack, tenth)
    rss["after a tenth of them"] = rss_mib()
    seconds = plan(folder, pack, whole)
    rss["after all of them"] = rss_mib()
    started = time.process_time()
    with whole.open("rb") as stream:
        for line in stream:
            orjson.loads(line)
    floor = time.process_time() - started
    return Outcome(
        contacts=contacts, pack=pack, seconds=round(seconds, 2), floor_seconds=round(floor, 2),
        ratio=round(seconds / floor, 1), rss_mib=rss, whynot_ms=ask(shipped()[pack]),
    )  # fmt: skip


def plan(folder: Path, pack: str, file: Path) -> float:
    """Make a plan as the command does; its seconds of processor time."""
    config, problems = load_config(write_config(folder, [_Nowhere()], rules=shipped_packs()[pack]))  # type: ignore[list-item]
    assert config is not None, problems
    portal = config.portals[0]
    options = Options(portal=portal, rules=portal.rules, file=file, out=folder / "plan.json")
    started = time.process_time()
    preview(config, options, clock=lambda: NOW, release="0", progress=lambda *_: None)
    return time.process_time() - started


def ask(rulebook: Rulebook) -> dict[str, float]:
    """Ask of contacts why they are not in each other stage."""
    took = []
    for one in crowd(ASKED, SEED):
        for stage in rulebook.pack.ladder:
            started = time.process_time()
            why_not(rulebook, one, NOTHING_KNOWN, NOW, stage=stage)
            took.append(1_000 * (time.process_time() - started))
    return {"median": round(statistics.median(took), 1), "slowest": round(max(took), 1)}


class _Options:
    portal = 4242


class _Nowhere:
    """A portal that is never called."""

    options = _Options()
    address = "http://127.0.0.1:9"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
