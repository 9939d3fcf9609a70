"""A story of people who are created, changed, merged, deleted and restored, told to a Stagekeeper as badly as can be.

Events come in any order, late and twice; workers die between two calls; things happen between two calls of a worker,
with a second worker at work meanwhile. At the end everything is delivered and worked off.
"""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from connector.sandbox.kinds import DEAL, TASK
from connector.store.tables import contacts, effects, waiting
from tests.dying import Killed, amid, die
from tests.practice import Practice

PACK = """
version: 1
pack: merging
ladder: [contact, lead, prospect]
facts:
  hot: {sk_intent: {is: wants_to_buy}}
  asked: {sk_source: {is: inbound}}
stages:
  - {id: hot, stage: prospect, when: hot, because: They want to buy.}
  - {id: asked, stage: lead, when: asked, because: They asked.}
  - {id: others, stage: contact, because: Nothing is known.}
tasks:
  - {id: greet, when: {entered: lead}, title: Greet}
  - {id: call, when: {entered: prospect}, title: Call}
cadences:
  - {id: chase, while: {stage: lead}, every: 3 days, at_most: 2, task: {title: Chase}}
actions:
  - {id: deal, when: {entered: prospect}, create_deal: {pipeline: default, stage: appointmentscheduled}}
"""
RULES = {"hot": "prospect", "asked": "lead", "others": "contact"}
MOST = {"greet": 1, "call": 1, "chase": 2, "deal": 1}
"""How often each may be done for one person, whoever they were merged with."""


@dataclass
class Story:
    """What happens to the people of one portal, and what must be true in the end."""

    the: Practice
    seed: int
    everybody: list[str] = field(default_factory=list)
    became: dict[str, str] = field(default_factory=dict)
    binned: set[str] = field(default_factory=set)
    was_binned: set[str] = field(default_factory=set)
    lives: list[tuple[str, int]] = field(default_factory=list)
    """From when on an id stands for somebody new: who goes on under an id is no longer who had it before."""
    led_to: dict[int, int] = field(default_factory=dict)
    pool: list[Mapping[str, Any]] = field(default_factory=list)
    heard: int = 0

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    @property
    def living(self) -> list[str]:
        return [one for one in self.everybody if one not in self.became and one not in self.binned]

    # --- what happens in HubSpot -----------------------------------------------------------------------------------

    def create(self, place: int) -> None:
        properties = ({}, {"sk_source": "inbound"}, {"sk_intent": "wants_to_buy"})[place % 3]
        one = self.the.sandbox.create_contact({"email": f"p{len(self.everybody)}@example.com", **properties})
        self.everybody.append(one)
        self.lives.append((one, 0))

    def change(self, place: int) -> None:
        if one := self._pick(place):
            properties = ({"sk_source": "inbound"}, {"sk_intent": "wants_to_buy"}, {"jobtitle": "Buyer"})[place % 3]
            self.the.sandbox.update_contact(one, properties)

    def merge(self, place: int) -> None:
        winner = self._pick(place)
        others = [one for one in self.living if one != winner]
        if winner is None or not others:
            return
        loser = others[place // 7 % len(others)]
        survivor = self.the.sandbox.merge_contacts(winner, loser)
        for one in {winner, loser} - {survivor}:
            self.became[one] = survivor
        if survivor not in self.everybody:
            self.everybody.append(survivor)
        life = len(self.lives)
        for one in (winner, loser):
            self.led_to[self._life_of(one, self.the.time.now)] = life
        self.lives.append((survivor, self.the.time.now))

    def delete(self, place: int) -> None:
        if one := self._pick(place):
            self.the.sandbox.delete_contact(one)
            self.binned.add(one)
            self.was_binned.add(one)

    def restore(self, place: int) -> None:
        if self.binned:
            one = sorted(self.binned)[place % len(self.binned)]
            self.the.sandbox.restore_contact(one)
            self.binned.remove(one)

    # --- what Stagekeeper hears and does ---------------------------------------------------------------------------

    def deliver(self, place: int) -> None:
        """Deliver some of the events, shuffled, a few of them twice; the others come later."""
        self._hear()
        self.random.shuffle(self.pool)
        number = len(self.pool) if place % 3 == 0 else len(self.pool) * (place % 4) // 4
        some, self.pool = self.pool[:number], self.pool[number:]
        self.the.accept([*some, *some[: place % 3]])
        self.the.move(seconds=3)

    def work(self, _place: int = 0) -> None:
        self.the.work()

    def wait(self, place: int) -> None:
        self.the.move(hours=place % 100)

    def crash(self, place: int) -> None:
        """Let the worker die before or after one of its next calls, and another start."""
        with amid(self.the, place % 13, die, after=bool(place // 13 % 2)):
            try:
                self.the.work()
            except Killed:
                self.the = self.the.again()
                self.the.move(minutes=place % 11)

    def lose(self, place: int) -> None:
        """Let an answer get lost, before or after HubSpot has done what was asked."""
        kind = ("reset", "reset_after", "500", "429_ten_secondly", "502_html")[place % 5]
        route = ("batch/create", "batch/update", "batch/read", "associations", "contacts/[0-9]")[place // 5 % 5]
        self.the.sandbox.faults.add(kind, route=route, times=1 + place % 2)
        self.work()

    def amid(self, place: int) -> None:
        """Let something happen between two calls of a worker; a second worker may go to work at once."""
        act = (self.merge, self.merge, self.delete, self.restore, self.change)[place % 5]

        def happen() -> None:
            act(place // 3)
            if place // 5 % 3:
                self.deliver(place // 5 % 3 - 1)
                self.the.again().work()

        with amid(self.the, place // 15 % 13, happen, after=bool(place // 2 % 2)):
            self.work()

    def end(self) -> None:
        """Deliver and work off everything."""
        self.the.sandbox.faults.clear()
        self.deliver(0)
        for _ in range(12):
            self.the.work()
            self.the.move(minutes=40)
            self.deliver(0)
        self.the.work()

    # --- what must be true -----------------------------------------------------------------------------------------

    def check(self) -> None:
        the = self.the
        assert the.dead() == {}
        rows = {row.contact: row for row in the.rows(sa.select(contacts))}
        for one in self.living:
            values = the.sandbox.contact(one)
            rule = "hot" if values.get("sk_intent") else "asked" if values.get("sk_source") else "others"
            assert (values["sk_rule"], rows[one].gone, rows[one].stage) == (rule, None, RULES[rule]), one
            assert values["lifecyclestage"] in self._from(RULES[rule]), one
        assert {one for one in rows if rows[one].gone is None} == set(self.living)
        assert {row.contact for row in the.rows(sa.select(waiting))} <= set(self.living)
        assert {row.state for row in the.rows(sa.select(effects))} <= {"confirmed", "failed"}
        self._check_effects()

    def _check_effects(self) -> None:
        made = [*self._keys(TASK), *self._keys(DEAL)]
        assert len(made) == len(set(made)), "something was made twice"
        done: dict[int, list[str]] = {}
        for key in made:
            _, one, rule, moment = key.split(":")
            done.setdefault(self._life_of(one, int(moment) - 1), []).append(rule)
        for life in range(len(self.lives)):
            rules = [rule for each in self._course(life) for rule in done.get(each, ())]
            assert {rule: rules.count(rule) for rule in rules if rules.count(rule) > MOST[rule]} == {}, life
        for one in self.living:
            tree = {each for each in self.everybody if one in self._path(each)}
            rules = [rule for key in made for rule in [key.split(":")[2]] if key.split(":")[1] in tree]
            if tree.isdisjoint(self.was_binned):
                values = self.the.sandbox.contact(one)
                due = "call" if values.get("sk_intent") else "greet" if values.get("sk_source") else None
                assert due is None or due in rules, one

    def _keys(self, kind: str) -> list[str]:
        with self.the.sandbox.portal.lock:
            records = self.the.sandbox.portal.records[kind].live.values()
            return [key for one in records if (key := one.values.get("sk_key"))]

    def _path(self, one: str) -> Iterator[str]:
        """Follow a contact to what it became in the end."""
        yield one
        while one in self.became:
            one = self.became[one]
            yield one

    def _life_of(self, one: str, moment: int) -> int:
        return max(life for life, (each, since) in enumerate(self.lives) if each == one and since <= moment)

    def _course(self, life: int) -> Iterator[int]:
        """Follow a life through what it led to."""
        yield life
        while life in self.led_to:
            life = self.led_to[life]
            yield life

    def _from(self, stage: str) -> list[str]:
        stages = {"contact": "subscriber", "lead": "lead", "prospect": "salesqualifiedlead", "": "opportunity"}
        names = list(stages)
        return [stages[name] for name in names[names.index(stage) :]]

    def _pick(self, place: int) -> str | None:
        living = self.living
        return living[place % len(living)] if living else None

    def _hear(self) -> None:
        log = list(self.the.sandbox.webhooks.events)
        self.pool += log[self.heard :]
        self.heard = len(log)


ACTS = ("create", "change", "merge", "delete", "restore", "deliver", "work", "wait", "crash", "lose", "amid")


def tell(story: Story, steps: list[tuple[str, int]]) -> None:
    """Let a story happen, to its end."""
    for act, place in steps:
        getattr(story, act)(place)
    story.end()
