"""What Procrastinate costs: the CPU of a worker that it drives beside that of one that looks by itself, on PostgreSQL.

`python -m tests.bench.drivers [--contacts 20000] [--rounds 2]`. One worker process, a practice HubSpot that answers at
once, and the waiting contacts all new, so that each is read, judged, written and gets its tasks. The drivers take turns
in one run, and the best round of each is compared: Procrastinate's may cost 1.15 times the other's.
"""

import argparse
import json
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import sqlalchemy as sa

from connector.inbox import Inbox
from connector.moments import system_clock
from connector.sandbox import Sandbox, SandboxOptions
from connector.store.engine import open_database, reading
from connector.store.tables import records
from connector.telemetry import configure_logging
from tests.bench.limits import unlimited
from tests.bench.table import Line, as_data
from tests.postgres_server import program, serving
from tests.practice import INBOUND, write_config
from tests.running import running, wait_until

WANTED = 1.15
_WHAT = "processor time of a worker that Procrastinate drives, for {:,} new contacts, HubSpot answering at once"
_DRIVERS = ("thread", "procrastinate")
_PATIENCE_S = 900.0
_AT_ONCE = 500


def main(arguments: Sequence[str]) -> int:
    """Measure and print; 1 when Procrastinate costs too much."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contacts", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    if not _is_installed():
        lines = [Line(what=_WHAT, figure="not measured: PostgreSQL is not installed")]
        print(json.dumps({"table": as_data(lines)}) if given.json else lines[0].figure)
        return 0
    configure_logging("json", "warning")
    best = dict.fromkeys(_DRIVERS, float("inf"))
    for _ in range(given.rounds):
        for driver in _DRIVERS:
            cpu, wall = measure(driver, given.contacts)
            best[driver] = min(best[driver], cpu)
            text = f"{driver:<14}{cpu:>8.1f} s of CPU{wall:>8.1f} s in all for {given.contacts} contacts"
            print(text, file=sys.stderr if given.json else sys.stdout, flush=True)
    ratio = best["procrastinate"] / best["thread"]
    line = Line(
        what=_WHAT.format(given.contacts), figure=f"{best['procrastinate']:.1f} s; ratio {ratio:.2f}",
        beside=f"workers that look by themselves: {best['thread']:.1f} s", wanted=f"{WANTED}", is_well=ratio <= WANTED,
    )  # fmt: skip
    print(json.dumps({"best_s": best, "ratio": ratio, "table": as_data([line])}) if given.json else line.figure)
    return 0 if ratio <= WANTED else 1


def measure(driver: str, contacts: int) -> tuple[float, float]:
    """Let one worker work the backlog off; its CPU and the time, in seconds."""
    with (
        tempfile.TemporaryDirectory() as name, serving() as server,
        Sandbox(SandboxOptions(port=0, calls_per_10s=1_000_000)) as sandbox,
    ):  # fmt: skip
        folder = Path(name)
        unlimited(sandbox, 1_000_000)
        config = write_config(folder, [sandbox], worker=f"worker: {{reconcile_every: never, driver: {driver}}}")
        config.write_text(re.sub(r"(?m)^database: .*$", f"database: {server.url}", config.read_text("utf-8")), "utf-8")
        engine = open_database(server.url)
        _let_wait(engine, sandbox, contacts)
        began = time.monotonic()
        with running("--config", config, "worker", folder=folder, log=folder / "worker.log") as process:
            wait_until(lambda: _decided(engine) >= contacts, seconds=_PATIENCE_S, what="the end of the backlog")
            cpu, wall = _cpu_s(process.pid), time.monotonic() - began
        engine.dispose()
    return cpu, wall


def _let_wait(engine: sa.Engine, sandbox: Sandbox, contacts: int) -> None:
    ids = [sandbox.create_contact({"email": f"p{number}@example.com", **INBOUND}) for number in range(contacts)]
    inbox = Inbox(engine, system_clock)
    for start in range(0, len(ids), _AT_ONCE):
        inbox.look_at(sandbox.options.portal, ids[start : start + _AT_ONCE], due=system_clock())


def _decided(engine: sa.Engine) -> int:
    finished = sa.select(sa.func.count()).select_from(records).where(records.c.done.is_not(None))
    with reading(engine) as connection:
        return connection.scalar(finished) or 0


def _cpu_s(pid: int) -> float:
    """Give the CPU time of a process so far; https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _is_installed() -> bool:
    try:
        return shutil.which(program("postgres")) is not None
    except FileNotFoundError:
        return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
