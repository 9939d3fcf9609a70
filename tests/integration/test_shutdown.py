"""Told to stop, worker and receiver end within ten seconds, whatever HubSpot does, and nobody waits for a lease."""

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import sqlalchemy as sa

from connector.config import load_config
from connector.moments import system_clock
from connector.sandbox import Sandbox, SandboxOptions
from connector.sandbox.signing import signed_headers
from connector.services import Services, open_services
from connector.store.engine import reading
from connector.store.tables import deliveries, events, waiting
from connector.telemetry import build_metrics
from tests.ports import free_port
from tests.practice import INBOUND, LEAD_TASKS, WEBHOOK_URL, prepare, write_config
from tests.running import answers, get, running, wait_until

WITHIN_S = 10.0
LIMITS = "    limits: {calls_per_10s: 100000, calls_per_day: 10000000, reserve: 0}\n"


@dataclass
class Bench:
    """A practice HubSpot, an inbox with new contacts, and the folder of both."""

    folder: Path
    sandbox: Sandbox
    services: Services
    contacts: list[str] = field(default_factory=list)

    @property
    def config(self) -> Path:
        return self.folder / "config.yaml"

    def let_wait(self, number: int) -> None:
        new = [self.sandbox.create_contact({"email": f"p{n}@example.com", **INBOUND}) for n in range(number)]
        self.contacts += new
        self.services.inbox.look_at(4242, new, due=system_clock())

    def claimed(self) -> int:
        query = sa.select(sa.func.count()).select_from(waiting).where(waiting.c.claim.is_not(None))
        with reading(self.services.engine) as connection:
            return connection.execute(query).scalar_one()

    def attempts(self) -> set[int]:
        with reading(self.services.engine) as connection:
            return set(connection.scalars(sa.select(waiting.c.attempts)))

    def is_done(self) -> bool:
        with reading(self.services.engine) as connection:
            return connection.execute(sa.select(waiting).limit(1)).first() is None

    def finish(self) -> None:
        """Let another worker do the rest, at once."""
        with running("--config", self.config, "worker", folder=self.folder, log=self.folder / "next.log"):
            wait_until(self.is_done, seconds=40, what="the rest")
        made = {one: sorted(t["properties"]["sk_key"].split(":")[2] for t in self.sandbox.tasks_of(one))
                for one in self.contacts}  # fmt: skip
        assert made == dict.fromkeys(self.contacts, LEAD_TASKS)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with Sandbox(SandboxOptions(port=0)) as sandbox:
        prepare(sandbox)
        path = write_config(tmp_path, [sandbox], worker="worker: {lease: 30 minutes, settle: 0s}")
        config, problems = load_config(path)
        assert config is not None, problems
        services = open_services(config, metrics=build_metrics())
        yield Bench(tmp_path, sandbox, services)
        services.engine.dispose()


def stop(process: subprocess.Popen[bytes]) -> float:
    """Tell a process to stop; the seconds that it took to end well."""
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(WITHIN_S) == 0
    return time.monotonic() - began


def stopped_while(bench: Bench, holds: Callable[[], object]) -> str:
    """Run a worker, stop it as soon as something holds, and give its log."""
    log = bench.folder / "worker.log"
    with running("--config", bench.config, "worker", folder=bench.folder, log=log) as process:
        wait_until(holds, what="the moment to stop")
        assert stop(process) < WITHIN_S
    text = log.read_text("utf-8")
    assert "Traceback" not in text
    assert '"worker.stopped"' in text
    return text


@pytest.mark.parametrize("route", [r"contacts/batch/read", r"tasks/batch/create"])
def test_a_worker_whose_call_hangs_gives_its_claim_back(bench: Bench, route: str) -> None:
    bench.let_wait(30)
    bench.sandbox.faults.add("slow", route=route, seconds=30, times=1)
    log = stopped_while(bench, lambda: bench.sandbox.faults.struck.get("slow"))
    assert "claim.given_back" in log
    assert (bench.claimed(), bench.attempts()) == (0, {0})
    bench.finish()


def test_a_worker_that_waits_for_its_call_budget_gives_its_claim_back(bench: Bench) -> None:
    text = bench.config.read_text("utf-8").replace("calls_per_10s: 100000", "calls_per_10s: 3")
    bench.config.write_text(text, "utf-8")
    bench.let_wait(300)
    log = stopped_while(bench, lambda: bench.sandbox.calls.total >= 3 and bench.claimed())
    assert "claim.given_back" in log
    assert (bench.claimed(), bench.attempts()) == (0, {0})
    bench.config.write_text(text.replace("calls_per_10s: 3", "calls_per_10s: 100000"), "utf-8")
    bench.finish()


def test_a_worker_that_waits_to_try_a_call_again_gives_its_claim_back(bench: Bench) -> None:
    bench.let_wait(10)
    bench.sandbox.faults.add("429_ten_secondly", route=r"contacts/batch/read", retry_after="15")
    stopped_while(bench, lambda: bench.sandbox.faults.struck.get("429_ten_secondly"))
    assert (bench.claimed(), bench.attempts()) == (0, {0})
    bench.sandbox.faults.clear()
    bench.finish()


def test_a_worker_finishes_what_it_has_in_hand_when_that_takes_no_longer(bench: Bench) -> None:
    bench.let_wait(200)
    log = stopped_while(bench, lambda: bench.sandbox.calls.total >= 4)
    assert "claim.given_back" not in log
    assert bench.claimed() == 0
    bench.finish()


def test_an_idle_worker_ends_at_once(bench: Bench) -> None:
    log = bench.folder / "worker.log"
    with running("--config", bench.config, "worker", folder=bench.folder, log=log) as process:
        wait_until(lambda: "worker.started" in log.read_text("utf-8"), what="the start")
        assert stop(process) < 3


def test_serve_ends_with_its_parts_though_a_call_hangs_and_keeps_what_it_acknowledged(bench: Bench) -> None:
    port = free_port()
    text = bench.config.read_text("utf-8")
    bench.config.write_text(f'{text}server: {{bind: "127.0.0.1:{port}"}}\n', "utf-8")
    bench.sandbox.faults.add("slow", seconds=30, times=1)
    log = bench.folder / "serve.log"
    with running("--config", bench.config, "serve", folder=bench.folder, log=log) as process:
        wait_until(lambda: answers(f"http://127.0.0.1:{port}/readyz"), what="being ready")
        bench.let_wait(20)
        body = b'[{"portalId":4242,"objectId":1,"subscriptionType":"contact.creation","occurredAt":1,"eventId":1}]'
        headers = signed_headers("sandbox-secret", WEBHOOK_URL, body, system_clock())
        wait_until(lambda: bench.sandbox.faults.struck.get("slow"), what="the hanging call")
        url = f"http://127.0.0.1:{port}/webhooks/hubspot"
        assert get(url, method="POST", body=body, headers=headers).status == 204
        assert stop(process) < WITHIN_S
    with reading(bench.services.engine) as connection:
        stored = (sa.select(sa.func.count()).select_from(table) for table in (events, deliveries))
        assert sum(connection.scalar(query) or 0 for query in stored) == 1
    assert bench.claimed() == 0
    assert not answers(f"http://127.0.0.1:{port}/livez")
    bench.finish()
