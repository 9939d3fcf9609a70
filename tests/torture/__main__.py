"""`make torture`: thousands of contacts, everything goes wrong at once, and nothing is lost, twice or wrong.

    python -m tests.torture --seed 1 --kills 50 --contacts 3000

All that is drawn by chance comes from the seed; what the processes make of it does not, for their timing is their own.
It ends with the line `lost 0, twice 0, wrong 0`, or with the contacts that differ and exit code 1.
"""

import argparse
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from connector.telemetry import configure_logging
from tests.torture.books import Books
from tests.torture.run import PORTAL, Report, Settings, Torture
from tests.torture.verdict import Found

_SHOWN = 5


def main() -> int:
    """Run once and give the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description="Torture Stagekeeper, then compare.")
    plain = Settings()
    parser.add_argument("--seed", type=int, default=plain.seed)
    parser.add_argument("--kills", type=int, default=plain.kills)
    parser.add_argument("--contacts", type=int, default=plain.contacts)
    parser.add_argument("--seconds", type=float, default=plain.seconds, help="how long there is trouble")
    parser.add_argument("--keep", type=Path, help="a folder to keep the database and the logs in")
    given = parser.parse_args()
    configure_logging("json", "warning")
    settings = replace(
        plain, seed=given.seed, kills=given.kills, contacts=given.contacts, seconds=given.seconds
    )
    with tempfile.TemporaryDirectory(prefix="stagekeeper-torture-") as temporary:
        folder = given.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        print(f"seed {settings.seed}: {settings.contacts} contacts, {settings.kills} kills", flush=True)
        report = Torture(settings, folder, say=lambda text: print(text, flush=True)).run()
        print(told(report, Books(f"sqlite:///{folder / 'torture.db'}", PORTAL)))
    return 0 if report.finding.is_well else 1


def told(report: Report, books: Books) -> str:
    """Tell what was done and what came of it; the verdict is the last line."""
    settings, finding = report.settings, report.finding
    lines = [f"  {name:<44}{number:>9}" for name, number in report.counts.items()]
    lines.append(f"  {'seconds of peace until all was done':<44}{report.took_s:>9.1f}")
    lines += [f"! {remark}" for remark in finding.remarks]
    for found in finding.contacts[:_SHOWN]:
        lines += _told_contact(found, books)
    if len(finding.contacts) > _SHOWN:
        lines.append(f"… and {len(finding.contacts) - _SHOWN} contacts more")
    kills = sum(number for name, number in report.counts.items() if name.startswith("kills of"))
    lines.append(f"seed {settings.seed}, {settings.contacts} contacts, {kills} kills: {finding}")
    return "\n".join(lines)


def _told_contact(found: Found, books: Books) -> list[str]:
    lines = [f"contact {found.contact} ({found.life.kind}, number {found.life.number})"]
    for name in ("lost", "twice", "wrong"):
        lines += [f"  {name}: {text}" for text in getattr(found, name)]
    steps = zip(found.life.times, found.life.steps, strict=True)
    lines += [f"  step at {moment:.1f} s: {step}" for moment, step in steps]
    for name, rows in books.about(found.contact).items():
        lines += [f"  {name}: {json.dumps(row, default=str)[:600]}" for row in rows[-12:]]
    return lines


if __name__ == "__main__":
    sys.exit(main())
