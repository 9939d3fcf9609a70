"""`make cluster`: several of everything on one PostgreSQL, killed and cut off at random; nothing lost, nothing twice.

    python -m tests.cluster --seed 1 --kills 24 --contacts 2000

It ends with the line `lost 0, twice 0, wrong 0, overlap 0`, or with what differs and exit code 1.
"""

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from connector.telemetry import configure_logging
from tests.cluster.run import Cluster, Report, Settings

_SHOWN = 5


def main() -> int:
    """Run once and give the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description="Torture a cluster, then compare.")
    plain = Settings()
    parser.add_argument("--seed", type=int, default=plain.seed)
    parser.add_argument("--kills", type=int, default=plain.kills)
    parser.add_argument("--contacts", type=int, default=plain.contacts)
    parser.add_argument("--seconds", type=float, default=plain.seconds, help="how long there is trouble")
    parser.add_argument("--plain", action="store_true", help="processes instead of network namespaces")
    parser.add_argument("--keep", type=Path, help="a folder to keep the logs in")
    given = parser.parse_args()
    configure_logging("json", "warning")
    settings = replace(
        plain, seed=given.seed, kills=given.kills, contacts=given.contacts, seconds=given.seconds, plain=given.plain
    )
    with tempfile.TemporaryDirectory(prefix="stagekeeper-cluster-") as temporary:
        folder = given.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        print(f"seed {settings.seed}: {settings.contacts} contacts, {settings.kills} kills", flush=True)
        report = Cluster(settings, folder, say=lambda text: print(text, flush=True)).run()
        print(told(report))
    return 0 if report.is_well else 1


def told(report: Report) -> str:
    """Tell what was done and what came of it; the verdict is the last line."""
    settings, finding = report.settings, report.finding
    lines = [f"  {name:<44}{number:>9}" for name, number in report.counts.items()]
    lines += [f"! {remark}" for remark in finding.remarks]
    for found in finding.contacts[:_SHOWN]:
        lines.append(f"contact {found.contact} ({found.life.kind}): {found.lost} {found.twice} {found.wrong}")
    lines += [f"! {overlap}" for overlap in report.overlaps[:_SHOWN]]
    for death, passed in report.takeovers.items():
        waits, most = [one.wait_s for one in passed], max(one.attempts for one in passed)
        lines.append(
            f"  of {death.holder} others took {len(passed)} contacts after {waits[0]:.1f} to {waits[-1]:.1f} s, "
            f"taken {most} times at most until then"
        )
    kills = sum(number for name, number in report.counts.items() if name.startswith("kills of"))
    alone = ", ".join(f"{wait_s:.1f} s" for wait_s in report.takeovers_alone) or "-"
    lines.append(f"from those that died alone others began to take over after: {alone}")
    within = f"{settings.allowed_takeover_s:.0f} s with a lease of {settings.lease_s} s"
    lines.append(f"wanted are {settings.deaths_alone} of them at least, each within {within}")
    lines.append(f"seed {settings.seed}, {settings.contacts} contacts, {kills} kills: {report}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
