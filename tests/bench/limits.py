"""How much of HubSpot's allowance a backlog uses, and how many calls are too many, by the practice HubSpot's own log.

`python -m tests.bench.limits [--seconds 40] [--only NAME] [--json]`. Real HTTP, a real clock, worker processes of their
own, and a practice HubSpot that answers after 80 ms, counts every call in a rolling window of ten seconds and refuses
what is too much. The backlog is more than 20,000 contacts, all new, so that each is written and gets tasks. At least
95 % of what is allowed must be used, less than 1 % of the calls be answered 429, and a thousand contacts cost no more
than 45 calls (30 with a pack that names neither companies nor deals).

Allowed is the limit less the reserve, or what another app leaves where that is less. Batches of associations do not
count for the limit, so they are part of the calls per thousand contacts only. Memory is that of the largest worker
process (RSS), after ten seconds and at the end.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import structlog

from connector.inbox import Inbox
from connector.moments import SECOND, system_clock
from connector.sandbox import Sandbox, SandboxOptions
from connector.sandbox.calls import LoggedCall
from connector.sandbox.refusals import Refusal
from connector.store.engine import open_database
from tests.bench.calls import NEITHER
from tests.bench.table import Line, as_data
from tests.practice import INBOUND, READ_CONTACTS, WRITE_CONTACTS, prepare, write_config
from tests.running import running, wait_until

LATENCY_MS = 80
WARM_S = 10
LEAST_USED, MOST_REFUSED = 0.95, 0.01
BACKLOG = 20_000
MOST_MIB = 200
_WAITING = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One set-up."""

    name: str
    limit: int
    workers: int = 1
    reserve: float = 0.1
    others: int = 0
    """Calls of another app in ten seconds."""
    rules: Path | None = None
    most_calls: int = 45
    """Per thousand contacts."""

    @property
    def allowed(self) -> int:
        """Give the calls that may be made in ten seconds."""
        return min(int(self.limit * (1 - self.reserve) + 1e-9), self.limit - self.others)


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What the log says."""

    case: str
    seconds: int
    workers: int
    limit: int
    allowed: int
    used: int
    used_share: float
    refused: int
    refused_share: float
    contacts: int
    """Written since the first call."""
    calls_per_1000: float
    most_calls: int
    rss_mib: tuple[float, ...]
    """Of the largest worker: after the first window, at the end; empty where the system does not tell."""

    @property
    def is_well(self) -> bool:
        """Ask whether all bounds are kept."""
        uses = self.used_share >= LEAST_USED and self.refused_share < MOST_REFUSED
        return uses and self.calls_per_1000 <= self.most_calls and max(self.rss_mib, default=0) < MOST_MIB


CASES = (
    Case(name="starter", limit=100),
    Case(name="professional", limit=190),
    Case(name="neither", limit=190, rules=NEITHER, most_calls=30),
    Case(name="two-workers", limit=190, workers=2),
    Case(name="another-app", limit=190, workers=2, others=60),
)


def main(arguments: Sequence[str]) -> int:
    """Measure and print; 1 when a bound is not kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=40)
    parser.add_argument("--only", choices=[case.name for case in CASES])
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    results = [measure(case, given.seconds) for case in CASES if given.only in (None, case.name)]
    if given.json:
        print(json.dumps({"cases": [asdict(one) for one in results], "table": as_data(lines(results))}, indent=2))
    else:
        show(results)
    return 0 if all(one.is_well for one in results) else 1


def measure(case: Case, seconds: int) -> Result:
    """Let workers at a backlog, and read the log of the seconds after the first window."""
    options = SandboxOptions(port=0, latency_ms=LATENCY_MS, calls_per_10s=case.limit)
    with tempfile.TemporaryDirectory() as name, Sandbox(options) as sandbox, ExitStack() as stack:
        folder = Path(name)
        unlimited(sandbox, case.limit)
        more = f"    limits: {{calls_per_10s: {case.limit}, calls_per_day: 10000000, reserve: {case.reserve}}}\n"
        quiet = "worker: {reconcile_every: never}"
        config = write_config(folder, [sandbox], rules=case.rules, more=more, worker=quiet)
        config.write_text(_once(config.read_text("utf-8")), "utf-8")
        backlog(folder, sandbox, max(BACKLOG, case.limit * (seconds + 2 * WARM_S) * 4))
        if case.others:
            stack.enter_context(another_app(sandbox, case.others))
        logs = [folder / f"worker{number}.log" for number in range(case.workers)]
        workers = [stack.enter_context(running("--config", config, "worker", folder=folder, log=log)) for log in logs]
        wait_until(lambda: sandbox.calls.total > 0, what="the first call")
        began = sandbox.calls.log[0].moment + WARM_S * SECOND
        pause = threading.Event()
        pause.wait(WARM_S)
        before = rss_mib(workers)
        pause.wait(seconds)
        rss = (*before, *rss_mib(workers))
        result = read_log(case, list(sandbox.calls.log), began, seconds, rss=rss)
        if not result.is_well:
            tell_events(folder)
        return result


def read_log(
    case: Case, log: Sequence[LoggedCall], began: int, seconds: int, *, rss: tuple[float, ...] = ()
) -> Result:
    """Count what counts for the limit of ten seconds, and what a thousand contacts cost in all."""
    # From the very first call on: in the window, claims that began before it cost calls and read nothing.
    whole = [call for call in log if call.moment < began + seconds * SECOND]
    calls = [call for call in whole if call.moment >= began and not call.route.startswith("/crm/associations/")]
    refused = sum(call.status == 429 for call in calls)
    allowed = case.allowed * seconds // 10
    used = len(calls) - refused
    return Result(
        case=case.name, seconds=seconds, workers=case.workers, limit=case.limit, allowed=allowed, used=used,
        used_share=used / allowed, refused=refused, refused_share=refused / max(len(calls), 1),
        contacts=_inputs(whole, WRITE_CONTACTS), calls_per_1000=round(calls_per_1000(whole), 1),
        most_calls=case.most_calls, rss_mib=rss,
    )  # fmt: skip


def calls_per_1000(log: Sequence[LoggedCall]) -> float:
    """Count the reads per contact read and all else per contact written: claims in hand have read and not written."""
    reads = sum(call.route == READ_CONTACTS for call in log)
    read, written = _inputs(log, READ_CONTACTS), _inputs(log, WRITE_CONTACTS)
    return 1_000 * (reads / max(read, 1) + (len(log) - reads) / max(written, 1))


def _inputs(log: Sequence[LoggedCall], route: str) -> int:
    return sum(call.inputs for call in log if call.route == route)


def rss_mib(processes: Sequence["subprocess.Popen[bytes]"]) -> tuple[float, ...]:
    """Give the resident memory of the largest; nothing where the system does not tell."""
    sizes = []
    for process in processes:
        with suppress(OSError):
            status = Path(f"/proc/{process.pid}/status").read_text("ascii")
            sizes.append(int(status.partition("VmRSS:")[2].split()[0]) / 1_024)
    return (round(max(sizes), 1),) if sizes else ()


def tell_events(folder: Path) -> None:
    """Say what the workers logged, when they were not as good as they should be."""
    lines = [json.loads(line) for log in folder.glob("worker*.log") for line in log.read_text("utf-8").splitlines()]
    told = Counter((line["event"], line.get("outcome", "")) for line in lines)
    print(", ".join(f"{' '.join(event).strip()}: {number}" for event, number in told.most_common()), file=sys.stderr)


def unlimited(sandbox: Sandbox, limit: int) -> None:
    """Make the properties without using up the window that is measured."""
    sandbox.limits.per_window = None
    prepare(sandbox)
    sandbox.limits.per_window = limit


def _once(config: str) -> str:
    """Leave the limits that were given last."""
    lines = config.splitlines()
    given = [number for number, line in enumerate(lines) if line.lstrip().startswith("limits:")]
    return "\n".join(line for number, line in enumerate(lines) if number not in given[:-1]) + "\n"


def backlog(folder: Path, sandbox: Sandbox, contacts: int) -> None:
    """Let new contacts wait, each of whom gets its properties and two tasks."""
    ids = [sandbox.create_contact({"email": f"p{number}@example.com", **INBOUND}) for number in range(contacts)]
    engine = open_database(f"sqlite:///{folder / 'practice.db'}")
    inbox = Inbox(engine, system_clock)
    for start in range(0, len(ids), _WAITING):
        inbox.look_at(sandbox.options.portal, ids[start : start + _WAITING], due=system_clock())
    engine.dispose()


@contextmanager
def another_app(sandbox: Sandbox, per_10s: int) -> Iterator[None]:
    """Call HubSpot as another app with the same allowance does, evenly."""
    over = threading.Event()

    def call() -> None:
        while not over.wait(10 / per_10s):
            try:
                sandbox.limits.take(search=False, exempt=False, granted=False)
            except Refusal:
                continue

    thread = threading.Thread(target=call)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def lines(results: Sequence[Result]) -> list[Line]:
    """Give the lines of the table."""
    return [
        Line(
            what=f"drain of a backlog, {one.limit} calls per 10 s, {LATENCY_MS} ms a call, {one.case}, "
            f"workers: {one.workers}",
            figure=f"{one.used_share:.0%} of the allowed calls used, {one.refused_share:.1%} answered 429, "
            f"{one.calls_per_1000:.0f} calls per 1,000 contacts",
            beside=f"memory of a worker {_spelled(one.rss_mib)}",
            wanted=f"{LEAST_USED:.0%}, {MOST_REFUSED:.0%}, {one.most_calls}; {MOST_MIB} MiB", is_well=one.is_well,
        )
        for one in results
    ]  # fmt: skip


def _spelled(rss: Sequence[float]) -> str:
    return ", ".join(f"{mib:.0f} MiB" for mib in rss) or "not told"


def show(results: Sequence[Result]) -> None:
    """Print a table."""
    print(f"HubSpot answers after {LATENCY_MS} ms; figures from its own log\n")
    heads = f"{'case':<14}{'workers':>8}{'limit/10 s':>12}{'seconds':>9}{'allowed':>9}"
    print(f"{heads}{'used':>7}{'%':>8}{'429':>5}{'%':>7}{'per 1,000':>11}{'most':>6}   memory")
    for one in results:
        mark = "" if one.is_well else "   missed"
        print(
            f"{one.case:<14}{one.workers:>8}{one.limit:>12}{one.seconds:>9}{one.allowed:>9}{one.used:>7}"
            f"{one.used_share:>8.1%}{one.refused:>5}{one.refused_share:>7.2%}{one.calls_per_1000:>11.1f}"
            f"{one.most_calls:>6}   {_spelled(one.rss_mib)}{mark}"
        )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
