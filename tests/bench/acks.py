"""How fast webhooks are acknowledged: the receiver against others, and while a worker is at work beside it.

`python -m tests.bench.acks [--json]`. All are sent the same signed batches of 100 events over real sockets, in turn, so
that a busy machine is equally busy for all; a ratio is the median over the rounds. The bare Flask receiver and the one
that commits each event run under gunicorn with the same settings; what each does is told in `receivers.py`. Processor
time is the server's own, so it holds on a busy machine too; a request of the bare one waits up to a second for SQLite's
lock, which its p99 shows. Measured first with nobody else at work, then while a worker on the same machine and the same
database places what comes in.
"""

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.bench import nodered
from tests.bench.posting import EVENTS, Posted, make_requests, post_all
from tests.bench.receivers import placing, running
from tests.bench.table import Line, as_data

TARGET, P99_MS = 0.7, 50
PEERS = {"bare": "a bare Flask receiver", "sample": "one commit per event", "Node-RED": "Node-RED, nothing stored"}
_FEWER = {"sample": 20}  # it takes that much longer


@dataclass(frozen=True, kw_only=True, slots=True)
class Rate:
    """Medians over the rounds."""

    requests: float
    cpu_ms: float | None
    p50_ms: float
    p99_ms: float
    ratio: float
    """Requests a second of the receiver, by those of this one."""
    cpu_ratio: float | None
    """Processor time of this one for a request, by that of the receiver."""


def main(arguments: Sequence[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--requests", type=int, default=300, help="per round")
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--contacts", type=int, default=2_000)
    given = parser.parse_args(arguments)
    missing = nodered.install()
    idle_kinds = ("receiver", "bare", "sample", *(() if missing else ("Node-RED",)))
    shape = {"rounds": given.rounds, "number": given.requests, "connections": given.connections}
    found = {
        "idle": measure(idle_kinds, contacts=given.contacts, busy=False, **shape),
        "draining": measure(("receiver", "bare"), contacts=given.contacts, busy=True, **shape),
    }
    if given.json:
        rates = {name: {kind: asdict(rate) for kind, rate in rates.items()} for name, rates in found.items()}
        print(json.dumps({**rates, "left_out": missing, "table": as_data(lines(found, missing))}, indent=2))
    else:
        show(found, missing)
    return 0


def measure(
    kinds: Sequence[str], *, rounds: int, number: int, connections: int, contacts: int, busy: bool
) -> Mapping[str, Rate]:
    """Post to all of them in turn."""
    found: dict[str, list[Posted]] = {kind: [] for kind in kinds}
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        servers = {kind: stack.enter_context(running(kind, folder)) for kind in kinds}
        if busy:
            stack.enter_context(placing(folder))
        for turn in range(rounds + 1):
            requests = make_requests(number, contacts=contacts, seed=turn)
            for kind, server in servers.items():
                some = requests[: max(number // _FEWER.get(kind, 1), connections)]
                posted = post_all(server.port, some, connections=connections, pid=server.pid)
                if turn:  # the first round warms up
                    found[kind].append(posted)
    return {kind: _rate(posted, found["receiver"]) for kind, posted in found.items()}


def _rate(posted: Sequence[Posted], ours: Sequence[Posted]) -> Rate:
    cpu = [one.cpu_ms for one in posted if one.cpu_ms]
    our_cpu = [one.cpu_ms for one in ours if one.cpu_ms]
    centiles = statistics.quantiles([took for one in posted for took in one.took], n=100)
    return Rate(
        requests=round(statistics.median(one.rate for one in posted)),
        cpu_ms=round(statistics.median(cpu), 2) if cpu else None,
        p50_ms=round(centiles[49] * 1_000, 1),
        p99_ms=round(centiles[98] * 1_000, 1),
        ratio=round(statistics.median(our.rate / one.rate for our, one in zip(ours, posted, strict=True)), 2),
        cpu_ratio=round(statistics.median(cpu) / statistics.median(our_cpu), 2) if cpu and our_cpu else None,
    )


def lines(found: Mapping[str, Mapping[str, Rate]], missing: str | None) -> list[Line]:
    """Give the lines of the table."""
    idle, draining = found["idle"], found["draining"]
    ours = idle["receiver"]
    table = [
        Line(
            what=f"{EVENTS}-event POSTs a second, acknowledged when on disk; beside {PEERS[kind]}",
            figure=f"{ours.requests:,.0f}; ratio {rate.ratio:.2f}, of processor time {rate.cpu_ratio or 0:.2f}",
            beside=f"{rate.requests:,.0f}, p50 {rate.p50_ms:.0f} ms, p99 {rate.p99_ms:.0f} ms",
        )
        for kind, rate in idle.items()
        if kind != "receiver"
    ]
    bare = draining["bare"]
    return [
        *table,
        *([Line(what="Node-RED's http-in", figure=f"left out: {missing}")] if missing else []),
        Line(
            what="the same while a worker places events, beside a bare Flask receiver",
            figure=f"{draining['receiver'].requests:,.0f}; ratio {bare.ratio:.2f}",
            beside=f"{bare.requests:,.0f}, p50 {bare.p50_ms:.0f} ms, p99 {bare.p99_ms:.0f} ms",
            wanted=f"{TARGET}", is_well=bare.ratio >= TARGET,
        ),
        Line(
            what="acknowledgement, p50 and p99, eight connections at full speed",
            figure=f"{ours.p50_ms:.0f} ms, {ours.p99_ms:.0f} ms; while a worker places events "
            f"{draining['receiver'].p50_ms:.0f} ms, {draining['receiver'].p99_ms:.0f} ms",
            wanted=f"p99 {P99_MS} ms on an idle machine", is_well=ours.p99_ms < P99_MS,
        ),
    ]  # fmt: skip


def show(found: Mapping[str, Mapping[str, Rate]], missing: str | None) -> None:
    """Print a table for each case."""
    for name, rates in found.items():
        print(f"{name}\n{'':<12}{'requests/s':>12}{'ms of CPU':>12}{'p50 ms':>9}{'p99 ms':>9}", end="")
        print(f"{'receiver is':>14}{'by CPU':>9}")
        for kind, rate in rates.items():
            cpu, by_cpu = (f"{rate.cpu_ms:.2f}", f"{rate.cpu_ratio:.2f}") if rate.cpu_ms else ("", "")
            print(f"{kind:<12}{rate.requests:>12,.0f}{cpu:>12}{rate.p50_ms:>9.1f}{rate.p99_ms:>9.1f}", end="")
            print(f"{rate.ratio:>14.2f}{by_cpu:>9}")
        print()
    if missing:
        print(f"Node-RED was left out: {missing}")
    for line in lines(found, missing):
        if line.wanted:
            print(f"{line.what}: {line.figure}; wanted {line.wanted}{'' if line.is_well else '   missed'}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
