"""An older database is restored, or all of it lost: what was done since then is found in HubSpot and not done again."""

import contextlib
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from connector.store.engine import open_database
from tests.dying import Killed, amid, die
from tests.practice import INBOUND, LEAD_TASKS, QUALIFIED, Practice, leads, practice, wait_out

pytestmark = pytest.mark.usefixtures("in_a_file")


def test_an_older_backup_that_is_restored_makes_no_task_twice(tmp_path: Path) -> None:
    """What was done after it was taken is found in HubSpot by its marker; what was not is done."""
    with practice(tmp_path) as the:
        known, new = leads(the, 2)
        later = the.sandbox.create_contact({"email": "later@example.com"})
        the.deliver()
        backup = _backup(tmp_path)
        the.move(seconds=3)
        the.work()
        the.sandbox.update_contact(known, QUALIFIED)
        the.catch_up()
        made = {one: the.keys(one) for one in (known, new)}
        assert len(made[known]) > len(LEAD_TASKS)
        assert made[new] == LEAD_TASKS

        anew = _restored(the, backup)
        anew.move(hours=1)
        anew.work()
        wait_out(anew, 2)
        assert {one: anew.keys(one) for one in (known, new)} == made

        anew.sandbox.update_contact(later, INBOUND)
        anew.catch_up()
        assert anew.keys(later) == [*LEAD_TASKS, "weekly-update"], "what is new is done as ever"


def test_a_backup_from_the_middle_of_a_contacts_history_makes_no_task_twice(tmp_path: Path) -> None:
    with practice(tmp_path) as the:
        [ana] = leads(the, 1)
        the.catch_up()
        backup = _backup(tmp_path)
        the.sandbox.update_contact(ana, QUALIFIED)
        the.catch_up()
        made = the.keys(ana)
        assert len(made) > len(LEAD_TASKS)

        anew = _restored(the, backup)
        anew.look(ana)
        wait_out(anew, 2)
        assert anew.keys(ana) == made


def test_a_database_that_is_lost_altogether_makes_no_task_twice(tmp_path: Path) -> None:
    with practice(tmp_path) as the:
        ids = leads(the, 3)
        the.catch_up()
        empty = tmp_path / "empty.db"
        open_database(f"sqlite:///{empty}").dispose()
        anew = _restored(the, empty)
        anew.look(*ids)
        assert [anew.keys(one) for one in ids] == [LEAD_TASKS] * 3


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("number", range(8))
def test_a_worker_that_dies_on_an_older_backup_makes_no_task_twice(tmp_path: Path, number: int, after: bool) -> None:
    """Once its decision is written down, HubSpot no longer shows a later one: what it was stands with the effects."""
    with practice(tmp_path) as the:
        [ana] = leads(the, 1)
        backup = _backup(tmp_path)
        the.catch_up()
        assert the.keys(ana) == LEAD_TASKS

        anew = _restored(the, backup)
        with amid(anew, number, die, after=after), contextlib.suppress(Killed):
            anew.look(ana)
        wait_out(anew.again(), 3)
        assert anew.keys(ana) == LEAD_TASKS


@pytest.mark.parametrize("fault", ["500", "reset_after", "429_ten_secondly"])
@pytest.mark.parametrize("route", ["tasks/batch/read", "associations"])
def test_what_hubspot_could_not_be_asked_on_an_older_backup_is_asked_again(
    tmp_path: Path, route: str, fault: str
) -> None:
    with practice(tmp_path) as the:
        [ana] = leads(the, 1)
        backup = _backup(tmp_path)
        the.catch_up()

        anew = _restored(the, backup)
        anew.sandbox.faults.add(fault, route=route)
        anew.look(ana)
        assert anew.waiting(ana) is not None
        assert anew.keys(ana) == LEAD_TASKS
        anew.sandbox.faults.clear()
        anew.sandbox.update_contact(ana, {"firstname": "Ana"})
        wait_out(anew, 3)
        assert anew.keys(ana) == LEAD_TASKS


@pytest.mark.parametrize("third", [True, False])
def test_what_was_done_for_both_who_merged_since_the_backup_is_not_done_again(tmp_path: Path, third: bool) -> None:
    with practice(tmp_path, merging_makes_third=third) as the:
        ana, ben = leads(the, 2)
        backup = _backup(tmp_path)
        the.catch_up()
        survivor = the.sandbox.merge_contacts(ana, ben)
        made = the.keys(survivor)
        assert made == sorted(LEAD_TASKS * 2)

        anew = _restored(the, backup)
        anew.look(survivor)
        wait_out(anew, 3)
        assert anew.keys(survivor) == made


def test_what_was_done_before_the_backup_does_not_count_for_a_second_time(tmp_path: Path) -> None:
    with practice(tmp_path, rules=_GREETING) as the:
        [ana] = leads(the, 1)
        the.catch_up()
        the.sandbox.update_contact(ana, {"sk_source": "research"})
        the.catch_up()
        backup = _backup(tmp_path)
        the.move(hours=1)
        the.sandbox.update_contact(ana, {"sk_source": "referral"})
        the.catch_up()
        assert the.keys(ana) == ["greet"]

        anew = _restored(the, backup)
        the.move(hours=1)
        anew.sandbox.update_contact(ana, INBOUND)
        anew.catch_up()
        assert anew.keys(ana) == ["greet", "greet"]


_GREETING = """
version: 1
pack: greeting
ladder: [contact, lead]
stages:
  - {id: asked, when: {sk_source: {is: inbound}}, stage: lead, because: They asked.}
  - {id: referred, when: {sk_source: {is: referral}}, stage: contact, because: They were referred.}
  - {id: rest, stage: contact, because: Nothing is known.}
tasks:
  - {id: greet, when: {entered: lead}, title: Greet}
"""


def _backup(folder: Path) -> Path:
    with closing(sqlite3.connect(folder / "practice.db")) as source, closing(sqlite3.connect(folder / "b.db")) as copy:
        source.backup(copy)
    return folder / "b.db"


def _restored(the: Practice, backup: Path) -> Practice:
    """Start anew on a backup; what is still open of the old database stays where it is."""
    restored = the.folder / "restored.db"
    restored.write_bytes(backup.read_bytes())
    the.config = the.config.model_copy(update={"database": f"sqlite:///{restored}"})
    return the.again()
