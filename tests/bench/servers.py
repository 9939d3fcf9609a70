"""Which server runs the receiver best: gunicorn's threads, granian, waitress, cheroot.

`python -m tests.bench.servers [--json]`; those that are installed take part (`pip install '.[bench]'`). Each runs the
real receiver in one process with eight threads (gunicorn: with the receiver's own settings), on a database of its own,
and is sent the same signed batches in turn: alone, while a worker places what comes in, and while fifty senders hold
connections on which they send a byte at a time. How many of these are still held after the receiver's patience shows
who hangs up on them.
"""

import argparse
import json
import statistics
import sys
import tempfile
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from connector.gate import PATIENCE_S
from tests.bench.posting import Posted, make_requests, post_all, slow_senders
from tests.bench.receivers import SERVERS, has, placing, running
from tests.bench.table import Line, as_data

SLOW = 50
CONNECTIONS = 8
_SMALL = 25


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What a server did in one case; medians over the rounds."""

    server: str
    case: str
    requests: float
    cpu_ms: float | None
    p50_ms: float
    p99_ms: float
    failed: int = 0
    still_held: int | None = None
    """Of the slow senders, after the receiver's patience."""


def main(arguments: Sequence[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=300, help="per round")
    given = parser.parse_args(arguments)
    servers = [server for server in SERVERS if has(server)]
    missing = [server for server in SERVERS if server not in servers]
    outcomes = [
        *measure(servers, "alone", rounds=given.rounds, number=given.requests),
        *measure(servers, "while a worker places", rounds=given.rounds, number=given.requests),
        *[under_slow_senders(server) for server in servers],
    ]
    if given.json:
        found = {"outcomes": [asdict(one) for one in outcomes], "left_out": missing}
        print(json.dumps({**found, "table": as_data(lines(outcomes, missing))}, indent=2))
    else:
        show(outcomes, missing)
    return 0


def measure(servers: Sequence[str], case: str, *, rounds: int, number: int) -> list[Outcome]:
    """Post to all of them in turn."""
    found: dict[str, list[Posted]] = {server: [] for server in servers}
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        receivers = {server: stack.enter_context(running("receiver", folder, server=server)) for server in servers}
        for turn in range(rounds + 1):
            requests = make_requests(number, contacts=2_000, seed=turn)
            for server, receiver in receivers.items():
                with ExitStack() as beside:
                    if case != "alone":
                        beside.enter_context(placing(folder, server=server))
                    posted = post_all(receiver.port, requests, connections=CONNECTIONS, pid=receiver.pid)
                if turn:  # the first round warms up
                    found[server].append(posted)
    return [_outcome(server, case, posted) for server, posted in found.items()]


def under_slow_senders(server: str) -> Outcome:
    """Post while others hold connections, and look who is still there after the receiver's patience."""
    with tempfile.TemporaryDirectory() as name, running("receiver", Path(name), server=server) as receiver:
        requests = make_requests(_SMALL, contacts=2_000, seed=1)
        with slow_senders(receiver.port, SLOW) as held:
            posted = post_all(
                receiver.port, requests, connections=CONNECTIONS, pid=receiver.pid, must_succeed=False
            )  # fmt: skip
            threading.Event().wait(PATIENCE_S + 2)
            return _outcome(server, f"beside {SLOW} slow senders", [posted], still_held=held())


def _outcome(server: str, case: str, posted: Sequence[Posted], *, still_held: int | None = None) -> Outcome:
    took = [took for one in posted for took in one.took]
    centiles = statistics.quantiles(took, n=100) if len(took) > 1 else [float("nan")] * 99
    cpu = [one.cpu_ms for one in posted if one.cpu_ms]
    return Outcome(
        server=server, case=case, requests=round(statistics.median(one.rate for one in posted), 1),
        cpu_ms=round(statistics.median(cpu), 2) if cpu else None,
        p50_ms=round(centiles[49] * 1_000, 1), p99_ms=round(centiles[98] * 1_000, 1), still_held=still_held,
        failed=sum(one.failed for one in posted),
    )  # fmt: skip


def lines(outcomes: Sequence[Outcome], missing: Sequence[str]) -> list[Line]:
    """Give the lines of the table."""
    left_out = f"; not installed: {', '.join(missing)}" if missing else ""
    return [
        Line(
            what=f"the receiver {case} under {_names(outcomes, case)}: requests a second, p99",
            figure=" · ".join(_figure(one) for one in outcomes if one.case == case),
            beside=_held(outcomes, case) + left_out,
        )
        for case in dict.fromkeys(one.case for one in outcomes)
    ]


def _figure(one: Outcome) -> str:
    return f"{one.requests:,.0f}, {one.p99_ms:,.0f} ms" + (f", {one.failed} failed" if one.failed else "")


def _names(outcomes: Sequence[Outcome], case: str) -> str:
    return " · ".join(one.server for one in outcomes if one.case == case)


def _held(outcomes: Sequence[Outcome], case: str) -> str:
    held = [str(one.still_held) for one in outcomes if one.case == case and one.still_held is not None]
    return f"slow senders still held after {PATIENCE_S + 2:.0f} s: {' · '.join(held)}" if held else ""


def show(outcomes: Sequence[Outcome], missing: Sequence[str]) -> None:
    """Print a table."""
    for case in dict.fromkeys(one.case for one in outcomes):
        print(f"{case}\n{'':<12}{'requests/s':>12}{'ms of CPU':>12}{'p50 ms':>10}{'p99 ms':>10}", end="")
        print(f"{'failed':>8}{'held':>6}")
        for one in outcomes:
            if one.case == case:
                held = "" if one.still_held is None else one.still_held
                cpu = "" if one.cpu_ms is None else f"{one.cpu_ms:.2f}"
                print(f"{one.server:<12}{one.requests:>12,.1f}{cpu:>12}{one.p50_ms:>10.1f}{one.p99_ms:>10.1f}", end="")
                print(f"{one.failed:>8}{held:>6}")
        print()
    for server in missing:
        print(f"{server} was left out: it is not installed; pip install '.[bench]'")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
