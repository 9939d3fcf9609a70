"""Whether growth of the past slows the present: the same work in stores of a thousand to a million contacts.

`python -m tests.bench.size [--database sqlite postgresql] [--sizes 1000,…] [--out PNG] [--keep FOLDER] [--json]`. Each
contact has ten records and two events that are still kept; filling takes minutes and 15 GB for each database. The
stores take turns, and of each kind of work the median is taken: processor time, ours and the database's, which shows
less of whatever else the machine does, and time by the wall. A PostgreSQL server of its own is started and is gone
afterwards; `--keep` keeps SQLite's files for another run. `--out` draws the picture of the README.
"""

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from connector.telemetry import configure_logging
from tests.bench.filling import Amounts, size_of
from tests.bench.stores import KNOWN, TARGET, WEBHOOK, WHOLE_CLAIM, addresses, store_at, take_turns
from tests.bench.table import Line, as_data

SIZES = (1_000, 10_000, 100_000, 1_000_000)
ROUNDS = 40
DATABASES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
DRAWN = {
    WEBHOOK: "A webhook of 100 events is stored",
    WHOLE_CLAIM: "A claim of 100 contacts: all its reads and writes",
    KNOWN: "What is known of a contact is read",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """What it took with so many contacts: medians in milliseconds, by the kind of work."""

    contacts: int
    bytes: int
    cpu_ms: Mapping[str, float]
    wall_ms: Mapping[str, float]


def main(arguments: Sequence[str]) -> int:
    """Measure, print and draw; exit code 1 when the largest store is too slow beside the smallest."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", nargs="+", default=list(DATABASES), choices=DATABASES)
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)))
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--keep", type=Path, metavar="FOLDER")
    parser.add_argument("--out", type=Path, metavar="PNG")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    configure_logging("console", "warning")
    sizes = sorted(int(each) for each in given.sizes.split(","))
    curves = {one: measure(one, sizes, rounds=given.rounds, keep=given.keep) for one in given.database}
    if given.out:
        draw(curves, given.out)
    table = [line(database, points) for database, points in curves.items()]
    if given.json:
        stood = {database: [asdict(point) for point in points] for database, points in curves.items()}
        print(json.dumps({**stood, "table": as_data(table)}, indent=2))
    else:
        for database, points in curves.items():
            _print(database, points)
    return 0 if all(one.is_well for one in table) else 1


def measure(database: str, sizes: Sequence[int], *, rounds: int, keep: Path | None) -> list[Point]:
    """Fill stores of these sizes, and have them take turns at the same work."""
    with tempfile.TemporaryDirectory() as folder, addresses(database, keep or Path(folder)) as address:
        stores = {store_at(address(f"of_{size}"), Amounts.for_contacts(size)): size for size in sizes}
        take_turns(stores, rounds=rounds)
        points = []
        for store, contacts in stores.items():
            cpu = {name: _median_ms(one for one, _ in took) for name, took in store.took.items()}
            wall = {name: _median_ms(one for _, one in took) for name, took in store.took.items()}
            points.append(Point(contacts=contacts, bytes=size_of(store.engine), cpu_ms=cpu, wall_ms=wall))
            store.engine.dispose()
        return points


def _median_ms(seconds: Iterable[float]) -> float:
    return round(1_000 * statistics.median(seconds), 3)


def line(database: str, points: Sequence[Point]) -> Line:
    """Tell how the largest store does beside the smallest."""
    small, full = points[0], points[-1]
    ratios = {name: full.cpu_ms[name] / small.cpu_ms[name] for name in small.cpu_ms}
    much = Amounts.for_contacts(full.contacts)
    return Line(
        what=f"the same work with {much.contacts:,} contacts, {much.records:,} records, {much.events:,} events kept, "
        f"beside {small.contacts:,} contacts, {DATABASES[database]}, processor time",
        figure="; ".join(f"{name} {ratio:.2f}" for name, ratio in ratios.items()),
        beside=f"{full.bytes / 1e9:.1f} GB beside {small.bytes / 1e9:.2f} GB",
        wanted=f"{TARGET}", is_well=max(ratios.values()) <= TARGET,
    )  # fmt: skip


def _print(database: str, points: Sequence[Point]) -> None:
    small, full = points[0], points[-1]
    print(f"\n{DATABASES[database]:<46}{'processor time, ms':^36}{'by the wall, ms':^27}")
    sizes = "".join(f"{point.contacts:>11,}" for point in (small, full))
    print(f"{'contacts':<44}{sizes}{'ratio':>8}{sizes}{'ratio':>8}")
    for name in small.cpu_ms:
        print(f"{name:<44}", end="")
        for before, after in ((small.cpu_ms, full.cpu_ms), (small.wall_ms, full.wall_ms)):
            print(f"{before[name]:>11.2f}{after[name]:>11.2f}{after[name] / before[name]:>8.2f}", end="")
        print()
    for point in points:
        print(f"with {point.contacts:>9,} contacts {point.bytes / 1e9:.2f} GB; ", end="")
        print(", ".join(f"{name}: {point.cpu_ms[name]:.2f} ms" for name in DRAWN))
    print(f"a ratio of at most {TARGET} is wanted")


def draw(curves: Mapping[str, Sequence[Point]], path: Path) -> None:
    """Draw four curves of each database."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - only here, and it may not be installed

    figure = Figure(figsize=(10, 7), dpi=120, layout="constrained")
    plots = figure.subplots(2, 2).flat
    sizes = [point.contacts for point in next(iter(curves.values()))]
    for plot, name in zip(plots, (*DRAWN, None), strict=True):
        for database, marker in zip(curves, ("o", "s"), strict=False):
            values = [point.bytes / 1e9 if name is None else point.cpu_ms[name] for point in curves[database]]
            plot.plot(sizes, values, marker=marker, linewidth=2, label=DATABASES[database])
        title, unit = ("The database on the disk", "GB") if name is None else (DRAWN[name], "processor time, ms")
        plot.set(title=title, xlabel="contacts (each with 10 records and 2 events)", ylabel=unit, xscale="log")
        if name is None:
            plot.set_yscale("log")
        else:
            plot.set_ylim(bottom=0)
        plot.set_xticks(sizes, labels=[f"{each:,}" for each in sizes])
        plot.grid(visible=True, alpha=0.3)
        plot.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
