"""Several workers on one database: no contact in two hands, no task twice, whoever dies when."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from connector.config import load_config
from connector.inbox import Claim
from connector.moments import MINUTE, system_clock
from connector.pipeline import Work
from connector.sandbox import Sandbox, SandboxOptions
from connector.services import Services, open_services
from connector.store.engine import reading
from connector.store.tables import effects, records, waiting
from connector.telemetry import build_metrics
from connector.worker import Worker
from tests.practice import CREATE_TASKS, practice, prepare, write_config
from tests.running import kill, running, wait_until

LEAD_TASKS = ["ask-missing-answer", "seek-meeting"]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A practice HubSpot that takes a moment for each call, as the real one does."""
    with Sandbox(SandboxOptions(port=0, latency_ms=15)) as one:
        prepare(one)
        yield one


@pytest.fixture
def config(tmp_path: Path, sandbox: Sandbox) -> Path:
    return write_config(tmp_path, [sandbox], worker="worker: {lease: 5s, reconcile_every: never}")


@pytest.fixture
def services(config: Path) -> Iterator[Services]:
    found, problems = load_config(config)
    assert found is not None, problems
    opened = open_services(found, metrics=build_metrics())
    yield opened
    opened.engine.dispose()


def leads(sandbox: Sandbox, number: int) -> list[str]:
    return [sandbox.create_contact({"email": f"p{n}@example.com", "sk_source": "inbound"}) for n in range(number)]


def rules_of(sandbox: Sandbox, contact: str) -> list[str]:
    return sorted(task["properties"]["sk_key"].split(":")[2] for task in sandbox.tasks_of(contact))


def waits(services: Services) -> int:
    with reading(services.engine) as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(waiting)).scalar_one()


def test_several_workers_share_the_work_and_never_a_contact(
    sandbox: Sandbox, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = leads(sandbox, 400)
    services.inbox.look_at(4242, ids, due=system_clock())
    pipeline = services.portals[4242].pipeline
    work = pipeline.work
    in_hand: Counter[str] = Counter()
    overlaps: list[str] = []
    lock = threading.Lock()

    def watched(claim: Claim) -> Work:
        mine = [held.contact for held in claim.contacts]
        with lock:
            overlaps.extend(one for one in mine if in_hand[one])
            in_hand.update(mine)
        try:
            return work(claim)
        finally:
            with lock:
                in_hand.subtract(mine)

    monkeypatch.setattr(pipeline, "work", watched)
    workers = [Worker(services) for _ in range(4)]
    threads = [threading.Thread(target=worker.run) for worker in workers]
    for thread in threads:
        thread.start()
    wait_until(lambda: waits(services) == 0, what="the end of the work")
    for worker in workers:
        worker.stop()
    for thread in threads:
        thread.join(10)

    assert not any(thread.is_alive() for thread in threads)
    assert overlaps == []
    assert all(rules_of(sandbox, one) == LEAD_TASKS for one in ids)
    with reading(services.engine) as connection:
        looks = Counter(connection.scalars(sa.select(records.c.contact)))
    assert set(looks.values()) == {1}


def test_two_worker_processes_on_one_file_make_every_task_once(
    tmp_path: Path, sandbox: Sandbox, config: Path, services: Services
) -> None:
    ids = leads(sandbox, 500)
    with ExitStack() as stack:
        for number in range(2):
            log = tmp_path / f"worker{number}.log"
            stack.enter_context(running("--config", config, "worker", folder=tmp_path, log=log))
        for start in range(0, len(ids), 50):
            services.inbox.look_at(4242, ids[start : start + 50], due=system_clock())
        wait_until(lambda: waits(services) == 0, what="the end of the work")

    assert all(rules_of(sandbox, one) == LEAD_TASKS for one in ids)
    logs = "".join((tmp_path / f"worker{number}.log").read_text() for number in range(2))
    assert "database is locked" not in logs
    assert "claim.failed" not in logs


def test_a_killed_worker_loses_nothing_and_makes_nothing_twice(
    tmp_path: Path, sandbox: Sandbox, config: Path, services: Services
) -> None:
    """Four workers in a row are killed at different moments of their work; the fifth may end it."""
    ids = leads(sandbox, 300)
    services.inbox.look_at(4242, ids, due=system_clock())
    log = tmp_path / "worker.log"
    for kills in range(4):
        calls = sandbox.calls.total
        with running("--config", config, "worker", folder=tmp_path, log=log) as process:
            wait_until(lambda calls=calls, kills=kills: sandbox.calls.total >= calls + 2 + kills, what="a few calls")
            kill(process)
    with running("--config", config, "worker", folder=tmp_path, log=log) as process:
        wait_until(lambda: waits(services) == 0, seconds=40, what="the end of the work")
        assert process.poll() is None

    assert {one: rules_of(sandbox, one) for one in ids} == dict.fromkeys(ids, LEAD_TASKS)
    assert {sandbox.contact(one)["lifecyclestage"] for one in ids} == {"lead"}
    with reading(services.engine) as connection:
        assert set(connection.scalars(sa.select(effects.c.state))) == {"confirmed"}
    assert services.inbox.listing(dead=True) == ()


def test_a_worker_killed_while_the_answer_about_its_tasks_is_on_its_way_makes_none_twice(
    tmp_path: Path, sandbox: Sandbox, config: Path, services: Services
) -> None:
    ids = leads(sandbox, 100)
    services.inbox.look_at(4242, ids, due=system_clock())
    log = tmp_path / "worker.log"
    for kills in range(1, 3):
        sandbox.faults.add("timeout_after", route="tasks/batch/create", times=1, seconds=20)
        with running("--config", config, "worker", folder=tmp_path, log=log) as process:
            wait_until(lambda kills=kills: sandbox.faults.struck.get("timeout_after") == kills, what="making tasks")
            kill(process)
    with running("--config", config, "worker", folder=tmp_path, log=log):
        wait_until(lambda: waits(services) == 0, seconds=40, what="the end of the work")

    assert {one: rules_of(sandbox, one) for one in ids} == dict.fromkeys(ids, LEAD_TASKS)


def test_a_worker_that_lost_its_claim_writes_no_more(tmp_path: Path) -> None:
    with practice(tmp_path) as the:
        ana = the.sandbox.create_contact({"email": "ana@example.com", "sk_source": "inbound"})
        the.deliver()
        the.move(seconds=3)
        slow, quick = the.worker, the.again()
        hubspot = the.services.portals[4242].hubspot
        read = hubspot.contacts.read

        def read_slowly(*given: object, **more: object) -> object:
            answer = read(*given, **more)  # type: ignore[arg-type]
            the.move(minutes=10)
            assert quick.work() == 1, "the other worker takes over what this one held too long"
            return answer

        hubspot.contacts.read = read_slowly  # type: ignore[assignment,method-assign]
        assert slow.work_once()

        assert quick.keys(ana) == LEAD_TASKS
        assert the.calls(CREATE_TASKS) == 1
        assert len(the.rows(sa.select(records))) == 1


def test_a_long_claim_is_held_for_longer(tmp_path: Path) -> None:
    with practice(tmp_path) as the:
        ana = the.sandbox.create_contact({"email": "ana@example.com", "sk_source": "inbound"})
        the.deliver()
        the.move(seconds=3)
        hubspot = the.services.portals[4242].hubspot
        update = hubspot.contacts.update
        seen: list[int] = []

        def update_slowly(changes: object) -> object:
            the.time.now += 4 * MINUTE
            seen.append(the.waiting(ana).claimed_until - the.time.now)
            return update(changes)  # type: ignore[arg-type]

        hubspot.contacts.update = update_slowly  # type: ignore[assignment,method-assign]
        the.worker.work_once()

        assert seen[0] > 0
        assert the.keys(ana) == LEAD_TASKS


def test_a_worker_ends_after_the_claim_in_hand(
    tmp_path: Path, sandbox: Sandbox, config: Path, services: Services
) -> None:
    ids = leads(sandbox, 200)
    log = tmp_path / "worker.log"
    with running("--config", config, "worker", folder=tmp_path, log=log) as process:
        wait_until(lambda: "worker.started" in log.read_text(), what="the start")
        services.inbox.look_at(4242, ids, due=system_clock())
        wait_until(lambda: sandbox.calls.total >= 2, what="the first calls")
        process.terminate()
        assert process.wait(10) == 0

    with reading(services.engine) as connection:
        held = connection.scalars(sa.select(waiting.c.claim).where(waiting.c.claim.is_not(None))).all()
        open_ones = connection.scalars(sa.select(effects.c.id).where(effects.c.state != "confirmed")).all()
    assert (held, open_ones) == ([], [])


def test_a_claim_that_breaks_is_worked_off_one_by_one(tmp_path: Path) -> None:
    with practice(tmp_path) as the:
        ids = leads(the.sandbox, 3)
        the.deliver()
        the.move(seconds=3)
        claim = the.services.inbox.claim(lease_ms=5 * MINUTE)
        assert claim is not None
        alone = replace(claim, contacts=claim.contacts[:1])
        the.services.portals[4242].pipeline.work(alone)

        assert the.keys(claim.contacts[0].contact) == LEAD_TASKS
        rest = [one for one in ids if one != claim.contacts[0].contact]
        assert [the.keys(one) for one in rest] == [[], []]
        the.services.inbox.release(replace(claim, contacts=claim.contacts[1:]))
        the.work()
        assert [the.keys(one) for one in ids] == [LEAD_TASKS] * 3

