"""Procrastinate drives the worker: woken at once, found when nobody woke it, tried again, and fair between portals."""

import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
import structlog

from connector.config import load_config
from connector.delivery import Delivery
from connector.diagnosis.flow import Flow
from connector.driving.bell import Bell
from connector.driving.driver import Turn
from connector.driving.procrastination import ProcrastinateDriver
from connector.driving.queue import JobQueue
from connector.driving.thread import ThreadDriver
from connector.errors import DatabaseUnavailable
from connector.inbox import Claim, Inbox
from connector.moments import SECOND, system_clock
from connector.sandbox import Sandbox, SandboxOptions
from connector.services import Services, open_services
from connector.store.engine import clock_of, open_database, reading, writing
from connector.store.tables import effects, waiting
from connector.telemetry import build_metrics
from connector.worker import Worker
from tests.inboxes import delivery, event
from tests.practice import prepare, write_config
from tests.running import kill, running, wait_until

INBOUND = {"sk_source": "inbound"}
JOBS = sa.text("SELECT queueing_lock FROM procrastinate_jobs WHERE task_name = 'stagekeeper.drain' ORDER BY id")


@pytest.fixture
def sandboxes() -> Iterator[list[Sandbox]]:
    """Two portals, each call to which takes a moment."""
    started = [Sandbox(SandboxOptions(port=0, portal=portal, latency_ms=15)) for portal in (4242, 4243)]
    for one in started:
        one.start()
        prepare(one)
    yield started
    for one in started:
        one.stop()


@pytest.fixture
def config(tmp_path: Path, sandboxes: list[Sandbox]) -> Path:
    return write_config(tmp_path, sandboxes, worker="worker: {settle: 100ms, lease: 5s, reconcile_every: never}")


@pytest.fixture
def services(config: Path) -> Iterator[Services]:
    found, problems = load_config(config)
    assert found is not None, problems
    opened = open_services(found, metrics=build_metrics())
    yield opened
    opened.engine.dispose()


class Deaf(Worker):
    """One that finds nothing by itself."""

    def look_around(self) -> Iterable[int]:
        """Find nothing."""
        return []


class Failing(Deaf):
    """One whose first look fails."""

    looks = 0

    def work_turn(self, portal: int, *, at_more: Callable[[], None]) -> Turn:
        """Fail once."""
        self.looks += 1
        if self.looks == 1:
            raise RuntimeError("the first look fails")
        return super().work_turn(portal, at_more=at_more)


class Noting(Worker):
    """One that notes from when to when it had how many contacts in hand."""

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self.spans: list[tuple[float, float, int]] = []

    def _work(self, claim: Claim) -> bool:
        began = time.monotonic()
        went_well = super()._work(claim)
        self.spans.append((began, time.monotonic(), len(claim.contacts)))
        return went_well


class Restless(Deaf):
    """One that always has more to do, and does it in no time."""

    looks = 0

    def work_turn(self, portal: int, *, at_more: Callable[[], None]) -> Turn:  # noqa: ARG002
        """Look again at once."""
        self.looks += 1
        return Turn(is_more=True, again_in_ms=0)


@contextmanager
def at_work(*workers: Worker) -> Iterator[None]:
    threads = [threading.Thread(target=worker.run) for worker in workers]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for worker in workers:
            worker.stop()
        for thread in threads:
            thread.join(15)
        assert not any(thread.is_alive() for thread in threads)


def events_of(portal: int, contacts: Iterable[str]) -> Delivery:
    return delivery(*(event(one, f"{one}-{time.time_ns()}", portal=portal) for one in contacts))


def ringing(services: Services) -> Inbox:
    bell = Bell(JobQueue(services.engine).wake)
    return Inbox(services.engine, services.clock, ring=bell.ring)


def left(services: Services, portal: int = 4242) -> int:
    due = (waiting.c.portal == portal, waiting.c.due <= system_clock() + SECOND)
    with reading(services.engine) as connection:
        unplaced = sa.text("SELECT count(*) FROM deliveries")
        return (connection.scalar(sa.select(sa.func.count()).where(*due)) or 0) + (connection.scalar(unplaced) or 0)


def are_leads(sandbox: Sandbox, contacts: Iterable[str]) -> bool:
    return all(sandbox.contact(one).get("lifecyclestage") == "lead" for one in contacts)


def test_each_database_has_its_driver_unless_the_configuration_says_otherwise(services: Services) -> None:
    assert isinstance(Worker(services)._driver, ProcrastinateDriver)
    threaded = services.config.worker.model_copy(update={"driver": "thread"})
    assert isinstance(Worker(_with(services, threaded))._driver, ThreadDriver)


def _with(services: Services, worker: object) -> Services:
    return replace(services, config=services.config.model_copy(update={"worker": worker}))


def test_a_wake_up_alone_has_an_event_worked_off(services: Services, sandboxes: list[Sandbox]) -> None:
    with at_work(Deaf(services)):
        contact = sandboxes[0].create_contact(INBOUND)
        ringing(services).accept(events_of(4242, [contact]), settle_ms=100)
        wait_until(lambda: are_leads(sandboxes[0], [contact]), what="the work")


def test_what_nobody_woke_a_worker_for_is_found_by_the_sweep(services: Services, sandboxes: list[Sandbox]) -> None:
    contact = sandboxes[0].create_contact(INBOUND)
    services.inbox.accept(events_of(4242, [contact]), settle_ms=0)
    with at_work(Worker(services)):
        wait_until(lambda: are_leads(sandboxes[0], [contact]), what="the work")


def test_a_ring_that_fails_fails_nobody(services: Services) -> None:
    rung = threading.Event()

    def fail(_portal: int) -> None:
        rung.set()
        raise DatabaseUnavailable

    inbox = Inbox(services.engine, services.clock, ring=Bell(fail).ring)
    inbox.accept(events_of(4242, ["1"]), settle_ms=0)
    assert rung.wait(10)
    assert inbox.place().stored == 1


def test_suspects_are_worked_off_by_several_workers_each_with_one_group_in_hand(
    services: Services, sandboxes: list[Sandbox]
) -> None:
    contacts = [sandboxes[0].create_contact(INBOUND) for _ in range(200)]
    services.inbox.accept(events_of(4242, contacts), settle_ms=0)
    services.inbox.place()
    with writing(services.engine) as connection:
        connection.execute(sa.update(waiting).values(claim="of a dead one", claimed_until=0, attempts=5))
    workers = [Noting(services), Noting(services)]
    with at_work(*workers):
        wait_until(lambda: are_leads(sandboxes[0], contacts), seconds=60, what="all of them")
    for worker in workers:
        ends = [0.0, *(end for _, end, _ in worker.spans)]
        assert all(end <= began for end, (began, _, _) in zip(ends, worker.spans, strict=False))
        assert {number for _, _, number in worker.spans} == {5}
    first, second = (worker.spans for worker in workers)
    assert any(began < end and start < over for began, over, _ in first for start, end, _ in second)


def test_a_look_that_failed_is_taken_again(services: Services, sandboxes: list[Sandbox]) -> None:
    worker = Failing(services)
    contact = sandboxes[0].create_contact(INBOUND)
    with structlog.testing.capture_logs() as logs, at_work(worker):
        ringing(services).accept(events_of(4242, [contact]), settle_ms=0)
        wait_until(lambda: are_leads(sandboxes[0], [contact]), what="the second look")
    assert [line["event"] for line in logs if line["log_level"] == "error"] == ["job.failed"]


def test_a_job_that_waited_for_the_one_before_it_begins_at_its_end(services: Services) -> None:
    """Procrastinate tells of a job when it comes, and then looks every five seconds: that would be a minute here."""
    worker = Restless(services)
    JobQueue(services.engine).wake(4242)
    with at_work(worker):
        wait_until(lambda: worker.looks >= 48, seconds=20, what="a dozen jobs, one behind the other")


def test_a_dead_workers_job_does_not_block_the_one_behind_it(services: Services, sandboxes: list[Sandbox]) -> None:
    """Procrastinate alone would wait for ever: the one may not run before the other, nor that one wait beside it."""
    with writing(services.engine) as connection:
        dead = connection.scalar(
            sa.text("INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() - interval '1h') RETURNING id")
        )
    JobQueue(services.engine).wake(4242)
    with writing(services.engine) as connection:
        connection.execute(sa.text("UPDATE procrastinate_jobs SET status = 'doing', worker_id = :dead"), {"dead": dead})
    JobQueue(services.engine).wake(4242)
    contact = sandboxes[0].create_contact(INBOUND)
    services.inbox.accept(events_of(4242, [contact]), settle_ms=0)
    with structlog.testing.capture_logs() as logs, at_work(Worker(services)):
        wait_until(lambda: are_leads(sandboxes[0], [contact]), what="the work")
        wait_until(lambda: not drains(services), what="the end of both jobs")
    assert {"job.taken_back", "worker.died"} <= {line["event"] for line in logs}
    assert services.metrics.workers_died._value.get() == 1


def test_the_doctor_counts_the_workers_that_live(services: Services) -> None:
    def found() -> str:
        flow = Flow(engine=services.engine, now=services.clock(), worker=services.config.worker)
        [check] = flow.workers([4242])
        return check.found

    with at_work(Deaf(services), Deaf(services)):
        wait_until(lambda: found() == "nothing is left lying; nothing was ever decided, 2 workers alive", what="both")
    assert found().endswith("0 workers alive")


def drains(services: Services) -> list[str]:
    with reading(services.engine) as connection:
        return list(connection.scalars(JOBS))


def test_a_backlog_of_one_portal_does_not_keep_another_waiting(services: Services, sandboxes: list[Sandbox]) -> None:
    large, small = sandboxes
    many = [large.create_contact(INBOUND) for _ in range(2_500)]
    few = [small.create_contact(INBOUND) for _ in range(3)]
    inbox = ringing(services)
    inbox.accept(events_of(4242, many), settle_ms=0)
    with at_work(Worker(services), Worker(services)):
        wait_until(lambda: left(services) < 2_500, what="some of the backlog")
        inbox.accept(events_of(4243, few), settle_ms=0)
        wait_until(lambda: are_leads(small, few), what="the small portal's work")
        assert left(services) > 0
        wait_until(lambda: not left(services), seconds=60, what="the end of the backlog")
    with reading(services.engine) as connection:
        doubled = sa.select(effects.c.key).group_by(effects.c.key).having(sa.func.count() > 1)
        assert connection.scalars(doubled).all() == []
    assert sum(len(large.tasks_of(one)) for one in many) == 2 * len(many)


def test_what_a_frozen_worker_writes_after_its_lease_is_refused(
    tmp_path: Path, services: Services, sandboxes: list[Sandbox], config: Path
) -> None:
    sandbox, log = sandboxes[0], tmp_path / "frozen.log"
    with running("--config", config, "worker", folder=tmp_path, log=log) as frozen:
        wait_until(lambda: "worker.started" in log.read_text("utf-8"), what="the start")
        sandbox.faults.add("slow", route="contacts/batch/read", seconds=2.0, times=1)
        contact = sandbox.create_contact(INBOUND)
        services.inbox.look_at(4242, [contact], due=0)
        wait_until(lambda: held_by(services, contact), what="the claim")
        first = held_by(services, contact)
        frozen.send_signal(signal.SIGSTOP)
        with at_work(Worker(services)):
            wait_until(lambda: len(sandbox.tasks_of(contact)) == 2, what="another's work")
            frozen.send_signal(signal.SIGCONT)
            wait_until(lambda: "claim.lost" in log.read_text("utf-8"), what="the refusal")
        assert len(sandbox.tasks_of(contact)) == 2
        with reading(services.engine) as connection:
            claims = connection.execute(sa.text("SELECT DISTINCT claim FROM records")).scalars().all()
        assert len(claims) == 1
        assert first not in claims
        kill(frozen)


def held_by(services: Services, contact: str) -> str | None:
    with reading(services.engine) as connection:
        held: str | None = connection.scalar(sa.select(waiting.c.claim).where(waiting.c.contact == contact))
    return held


def test_the_first_event_of_a_receiver_whose_clock_is_wrong_is_due_by_the_databases(
    tmp_path: Path, services: Services, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = services.engine.url.render_as_string(hide_password=False)
    right = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: right() + 600 * 1_000_000_000)
    other = open_database(url, migrate=False)
    with reading(other):  # as a receiver does when it starts
        assert abs(clock_of(other)() - right() // 1_000_000) < 5_000
    other.dispose()
