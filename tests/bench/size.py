"""Whether growth of the past slows the present: one store that is full, one that is small, the same work in both.

`python -m tests.bench.size [--database sqlite|postgresql] [--contacts N] [--json]`. A million contacts have ten million
records and two million events that are still kept; filling takes minutes and 15 GB. Then the two stores take turns, and
of each kind of work the median is compared: processor time, ours and the database's, and time by the wall. A PostgreSQL
server of its own is started and is gone afterwards; `--keep FOLDER` keeps SQLite's full file for another run.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from connector.telemetry import configure_logging
from tests.bench.filling import Amounts, size_of
from tests.bench.stores import FEW, TARGET, Compared, addresses, compare, store_at, take_turns

CONTACTS = 1_000_000
ROUNDS = 60


def main(arguments: Sequence[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", default="sqlite", choices=("sqlite", "postgresql"))
    parser.add_argument("--contacts", type=int, default=CONTACTS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--keep", type=Path, metavar="FOLDER")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    configure_logging("console", "warning")
    few, amounts = Amounts.for_contacts(min(FEW, given.contacts)), Amounts.for_contacts(given.contacts)
    with tempfile.TemporaryDirectory() as folder, addresses(given.database, given.keep or Path(folder)) as address:
        small = store_at(address(f"small_{time.time_ns()}"), few)
        full = store_at(address(f"full_{amounts.contacts}"), amounts)
        take_turns({small: few.contacts, full: amounts.contacts}, rounds=given.rounds)
        found, size = compare(small, full), size_of(full.engine)
    if given.json:
        stood = {**asdict(amounts), "bytes": size, "database": given.database}
        print(json.dumps({**stood, "work": {name: asdict(one) for name, one in found.items()}}, indent=2))
    else:
        _print(given.database, amounts, size, found)
    return 0


def _print(database: str, amounts: Amounts, size: int, found: dict[str, Compared]) -> None:
    print(f"{database}: {amounts.contacts:,} contacts, {amounts.records:,} records, ", end="")
    print(f"{amounts.events:,} events kept; {size / 1e9:.1f} GB; beside a store of {FEW:,} contacts, medians\n")
    print(f"{'':<44}{'processor time, ms':^26}{'by the wall, ms':^26}")
    print(f"{'':<44}{'small':>9}{'full':>9}{'ratio':>8}{'small':>9}{'full':>9}{'ratio':>8}")
    for name, one in found.items():
        print(f"{name:<44}{one.cpu_small:>9.2f}{one.cpu_full:>9.2f}{one.cpu_ratio:>8.2f}", end="")
        print(f"{one.wall_small:>9.2f}{one.wall_full:>9.2f}{one.wall_ratio:>8.2f}")
    print(f"\na ratio of at most {TARGET} is wanted")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
