"""How time and space grow with the number of contacts, as a picture: from a thousand to a million, on both databases.

`python -m tests.bench.growth [--out growth.png] [--sizes 1000,10000,…] [--json]`. Each contact has ten records and two
events that are still kept. Times are processor time, ours and the database's, so that whatever else the machine does
shows less in them; medians.
"""

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from connector.telemetry import configure_logging
from tests.bench.filling import Amounts, size_of
from tests.bench.stores import KNOWN, WEBHOOK, WHOLE_CLAIM, addresses, store_at, take_turns

SIZES = (1_000, 10_000, 100_000, 1_000_000)
ROUNDS = 25
DATABASES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
DRAWN = {
    "webhook_ms": ("A webhook of 100 events is stored", "processor time, ms"),
    "claim_ms": ("A claim of 100 contacts: all reads and writes", "processor time, ms"),
    "lookup_ms": ("What is known of a contact is read", "processor time, ms"),
    "gigabytes": ("The database on the disk", "GB"),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """What it took with so many contacts."""

    contacts: int
    webhook_ms: float
    claim_ms: float
    lookup_ms: float
    gigabytes: float


def main(arguments: Sequence[str]) -> int:
    """Measure and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(".github/images/growth.png"))
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)))
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    configure_logging("console", "warning")
    sizes = [int(each) for each in given.sizes.split(",")]
    curves = {database: measure(database, sizes) for database in DATABASES}
    draw(curves, given.out)
    if given.json:
        print(json.dumps({name: [asdict(point) for point in points] for name, points in curves.items()}, indent=2))
        return 0
    for database, points in curves.items():
        print(f"{DATABASES[database]:<14}{'webhook, ms':>14}{'claim, ms':>14}{'lookup, ms':>14}{'GB':>10}")
        for point in points:
            print(f"{point.contacts:>14,}{point.webhook_ms:>14.2f}{point.claim_ms:>14.1f}", end="")
            print(f"{point.lookup_ms:>14.2f}{point.gigabytes:>10.2f}")
    print(f"\nthe picture is {given.out}")
    return 0


def measure(database: str, sizes: Sequence[int]) -> list[Point]:
    """Fill stores of these sizes, and have them take turns at the same work."""
    with tempfile.TemporaryDirectory() as folder, addresses(database, Path(folder)) as address:
        stores = {store_at(address(f"growth_{size}"), Amounts.for_contacts(size)): size for size in sizes}
        take_turns(stores, rounds=ROUNDS)
        points = []
        for store, contacts in stores.items():
            webhook, claim, lookup = (
                1_000 * statistics.median(cpu for cpu, _ in store.took[name]) for name in (WEBHOOK, WHOLE_CLAIM, KNOWN)
            )
            size = size_of(store.engine) / 1e9
            points.append(
                Point(contacts=contacts, webhook_ms=webhook, claim_ms=claim, lookup_ms=lookup, gigabytes=size)
            )
            store.engine.dispose()
        return points


def draw(curves: Mapping[str, Sequence[Point]], path: Path) -> None:
    """Draw four curves of each database."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - only here, and it may not be installed

    figure = Figure(figsize=(10, 7), dpi=120, layout="constrained")
    for plot, (name, (title, unit)) in zip(figure.subplots(2, 2).flat, DRAWN.items(), strict=True):
        for database, marker in zip(curves, ("o", "s"), strict=True):
            points = curves[database]
            at, values = [point.contacts for point in points], [getattr(point, name) for point in points]
            plot.plot(at, values, marker=marker, linewidth=2, label=DATABASES[database])
        plot.set(title=title, xlabel="contacts (each with 10 records and 2 events)", ylabel=unit, xscale="log")
        if name == "gigabytes":
            plot.set_yscale("log")
        else:
            plot.set_ylim(bottom=0)
        plot.set_xticks(at, labels=[f"{each:,}" for each in at])
        plot.grid(visible=True, alpha=0.3)
        plot.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
