"""Each task and deal once: answers lost, pages of tasks, workers too slow, and what people do with tasks meanwhile."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from connector.errors import ClaimLost
from connector.sandbox.kinds import TASK
from connector.store.tables import effects
from tests.practice import CREATE_TASKS, INBOUND, LEAD_TASKS, Practice, leads, practice, stages, wait_out


@pytest.fixture
def the(tmp_path: Path) -> Iterator[Practice]:
    with practice(tmp_path) as stage:
        yield stage


def states(the: Practice) -> set[str]:
    return {row.state for row in the.rows(sa.select(effects.c.state))}


@pytest.mark.parametrize("fault", ["reset_after", "timeout_after", "garbage", "500", "502_html", "504"])
def test_a_task_that_may_have_been_made_is_found_among_more_than_a_page_of_others(the: Practice, fault: str) -> None:
    [ana] = leads(the, 1)
    for _ in range(560):
        the.sandbox.create_task({"hs_timestamp": "2026-01-01", "hs_task_subject": "Theirs"}, contacts=[ana])
    the.sandbox.faults.add(fault, route="tasks/batch/create", times=1, seconds=0.05)
    the.catch_up()
    wait_out(the, 2)

    made = [task for task in the.sandbox.tasks_of(ana) if task["properties"].get("sk_key")]
    assert sorted(task["properties"]["sk_key"].split(":")[2] for task in made) == LEAD_TASKS
    assert states(the) == {"confirmed"}
    assert the.dead() == {}


def test_a_task_that_a_person_deleted_or_did_is_not_made_again(the: Practice) -> None:
    [ana] = leads(the, 1)
    the.catch_up()
    first, second = the.sandbox.tasks_of(ana)
    with the.sandbox.portal.lock:
        portal = the.sandbox.portal
        tasks = portal.records[TASK]
        tasks.remove(tasks.live[first["id"]], portal.now(), keep=True)
        portal.change(tasks.live[second["id"]], {"hs_task_status": "COMPLETED"}, portal.app)
    the.sandbox.update_contact(ana, {"jobtitle": "Buyer"})
    the.catch_up()
    the.look(ana)

    assert [task["id"] for task in the.sandbox.tasks_of(ana)] == [second["id"]]
    assert the.calls(CREATE_TASKS) == 1


def test_a_task_that_was_done_before_it_was_known_to_be_made_is_recognised(the: Practice) -> None:
    [ana] = leads(the, 1)
    the.sandbox.faults.add("reset_after", route="tasks/batch/create", times=1)
    the.catch_up()
    with the.sandbox.portal.lock:
        for task in the.sandbox.portal.records[TASK].live.values():
            the.sandbox.portal.change(task, {"hs_task_status": "COMPLETED"}, the.sandbox.portal.app)
    wait_out(the, 2)

    assert the.keys(ana) == LEAD_TASKS
    assert states(the) == {"confirmed"}


def test_one_refused_task_of_many_leaves_the_others_made_once(the: Practice, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = leads(the, 30)
    odd = ids[7]
    tasks = the.services.portals[the.portal].hubspot.tasks
    create = tasks.create

    def spoil_one(inputs: Any, **more: Any) -> Any:
        for task in inputs:
            if task.contact == odd and task.key.split(":")[2] == LEAD_TASKS[0]:
                task.properties["hs_task_priority"] = "NO SUCH"
        return create(inputs, **more)

    monkeypatch.setattr(tasks, "create", spoil_one)
    the.catch_up()
    assert list(the.dead()) == [odd]
    monkeypatch.undo()
    the.services.inbox.retry()
    the.work()

    assert {tuple(the.keys(one)) for one in ids} == {tuple(LEAD_TASKS)}
    assert the.dead() == {}


def test_a_worker_that_is_too_slow_makes_nothing_more(the: Practice, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its lease runs out between two calls; by then another worker has taken over."""
    ids = leads(the, 60)
    transport = the.services.portals[the.portal].hubspot._transport
    send, made = transport.send, list[str]()

    def slow(method: str, path: str, **more: Any) -> Any:
        answer = send(method, path, **more)
        if path.endswith("tasks/batch/create") and not made:
            made.append(path)
            the.move(minutes=6)
            the.again().work()
        return answer

    monkeypatch.setattr(transport, "send", slow)
    the.deliver()
    the.move(seconds=3)
    claim = the.services.inbox.claim(lease_ms=300_000, limit=500)
    assert claim is not None
    with pytest.raises(ClaimLost):
        the.services.portals[the.portal].pipeline.work(claim)
    wait_out(the, 2)

    assert made
    assert {tuple(the.keys(one)) for one in ids} == {tuple(LEAD_TASKS)}
    assert set(stages(the).values()) == {"lead"}
    assert states(the) == {"confirmed"}


@pytest.mark.parametrize("fault", ["reset_after", "timeout_after", "reset", "500"])
def test_a_value_whose_answer_is_lost_is_written_in_the_end(the: Practice, fault: str) -> None:
    ids = [the.sandbox.create_contact({"email": f"p{n}@example.com", **INBOUND}) for n in range(3)]
    the.sandbox.faults.add(fault, route="contacts/batch/update", times=4, seconds=0.05)
    the.catch_up()
    wait_out(the, 3)

    assert {the.sandbox.contact(one)["sk_rule"] for one in ids} == {"worth-a-look"}
    assert {tuple(the.keys(one)) for one in ids} == {tuple(LEAD_TASKS)}
    assert states(the) == {"confirmed"}
