"""The decision: what is entered, what is due once, what comes again, what is set, and when to look again."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from connector.decision import NO_MEMORY, NO_RULE, Decision, Mark, Memory, decide
from connector.moments import DAY, HOUR
from connector.rulebook.judging import Rulebook
from tests.rulebooks import NOW, Person, moment, person, plain, rulebook_of, shipped

PACK = """version: 1
pack: example
ladder: [contact, lead, prospect]
facts:
  asked_to_be_forgotten: {forget: {is: yes}}
  good: {contact.good: {is: yes}}
  keen: {contact.keen: {is: yes}}
  quiet: {last_word: {not_within_last: 10 days}}
stages:
  - {id: erasure, stage: null, when: asked_to_be_forgotten, because: They asked.}
  - {id: prospect, stage: prospect, when: {all: [good, keen]}, because: They are good and keen.}
  - {id: lead, stage: lead, when: good, because: They are good.}
  - {id: contact, stage: contact, when: {contact.good: {known: true}}, because: They are not good.}
statuses:
  - {id: closed, status: closed, when: asked_to_be_forgotten}
  - {id: cold-lead, of: lead, status: cold, when: quiet}
  - {id: hot, of: prospect, status: hot, when: {day: {within_next: 2 days}}}
  - {id: unverified, of: prospect, status: unverified, when: {checked: {known: false}}}
  - {id: cold, of: [prospect], status: cold}
values:
  - {id: first, when: good, set: {a: "1", b: "1"}}
  - {id: second, when: keen, set: {b: "2", c: "2"}}
  - {id: entering, when: {entered: prospect}, set: {c: ""}}
tasks:
  - {id: greet, when: {entered: [lead, prospect]}, title: Greet}
  - {id: call, when: {all: [{stage: lead}, quiet]}, title: Call}
  - {id: check, when: {status: unverified}, title: Check}
cadences:
  - {id: write, while: {stage: contact}, every: 7 days, task: {title: Write}}
  - id: follow
    while: {stage: [lead, prospect]}
    every: 3 days
    at_most: 2
    task: {title: Follow}
    afterwards: {set: {drip: "true"}}
actions:
  - {id: open-deal, when: {entered: prospect}, create_deal: {stage: new}}
  - {id: forget, when: {status: closed}, do: [unsubscribe, erase]}
"""
AFTERWARDS = '    afterwards: {set: {drip: "true"}}\n'
EXAMPLE = rulebook_of(PACK)


def at(decision: Decision) -> tuple[str, ...]:
    """Name what is due."""
    return tuple(rule.id for rule in (*decision.tasks, *decision.actions))


def example(properties: str = "", memory: Memory = NO_MEMORY, now: int = NOW) -> Decision:
    """Decide under the example pack."""
    return decide(EXAMPLE, person(**plain(properties)), memory, now)


def test_a_decision_is_all_that_there_is_to_know() -> None:
    decision = example("good yes, keen yes, checked yes")
    assert replace(decision, tasks=(), actions=()) == Decision(
        stage="prospect", status="cold", rule="prospect", because="They are good and keen.",
        facts={"asked_to_be_forgotten": "unknown", "good": "yes", "keen": "yes", "quiet": "unknown"},
        set={"sk_prospect_status": "cold", "sk_lead_status": "", "a": "1", "b": "1", "c": "2"},
        tasks=(), actions=(), next_look_at=NOW + 3 * DAY,
        memory=Memory(stage="prospect", status="cold", since=NOW, marks={"follow": Mark(1, NOW)}),
        stage_before=None, backward=False, undetermined=False,
    )  # fmt: skip
    assert at(decision) == ("greet", "follow", "open-deal")
    assert decision.entered


def test_when_no_rule_applies_there_is_no_stage_and_the_reason_says_so() -> None:
    decision = example()
    assert (decision.stage, decision.rule, decision.because, at(decision)) == (None, None, NO_RULE, ())
    assert not decision.entered


# --- entering, and what is done once ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("before", "due"), [(None, True), ("contact", True), ("prospect", True), ("lead", False)])
def test_a_stage_is_entered_from_another_and_from_none(before: str | None, due: bool) -> None:
    decision = example("good yes", Memory(stage=before))
    assert ("greet" in at(decision)) is due
    assert decision.entered is due


def test_what_entering_causes_is_due_once_and_again_with_the_next_entering() -> None:
    first = example("good yes")
    again = example("good yes", first.memory)
    away = example("good no", again.memory)
    back = example("good yes", away.memory, NOW + DAY)
    assert [("greet" in at(each)) for each in (first, again, away, back)] == [True, False, False, True]
    assert all("greet" not in each.memory.marks for each in (first, again, away, back))


def test_what_a_case_marks_as_done_is_not_due_again_even_on_entering() -> None:
    assert "greet" not in at(example("good yes", Memory(stage="contact", marks={"greet": Mark(1)})))


def test_a_task_is_due_once_for_as_long_as_its_condition_holds_and_anew_after_it_stopped() -> None:
    quiet, lately = f"good yes, last_word {NOW - 20 * DAY}", f"good yes, last_word {NOW - DAY}"
    first = example(quiet)
    again = example(quiet, first.memory, NOW + DAY)
    stopped = example(lately, again.memory, NOW + DAY)
    anew = example(quiet, stopped.memory, NOW + DAY)
    assert [("call" in at(each)) for each in (first, again, stopped, anew)] == [True, False, False, True]
    assert [("call" in each.memory.marks) for each in (first, again, stopped, anew)] == [True, True, False, True]


def test_an_unknown_condition_makes_nothing_due_and_lets_the_mark_go() -> None:
    first = example(f"good yes, last_word {NOW - 20 * DAY}")
    unknown = example("good yes", first.memory)
    assert ("call" in first.memory.marks, "call" in unknown.memory.marks) == (True, False)


def test_since_is_kept_while_the_stage_is_and_begins_anew_with_another() -> None:
    assert example("good yes", Memory(stage="lead", since=5)).memory.since == 5
    assert example("good yes", Memory(stage="lead")).memory.since == NOW
    assert example("good yes", Memory(stage="contact", since=5)).memory.since == NOW


# --- cadences ---------------------------------------------------------------------------------------------------------


def through(properties: str, days: int, memory: Memory = NO_MEMORY) -> list[tuple[int, str]]:
    """Live through days, looking at every hour; gives the day of each task of a cadence, and of `drip`."""
    made = []
    for hour in range(days * 24 + 1):
        decision = example(properties, memory, NOW + hour * HOUR)
        made += [(hour // 24, name) for name in at(decision) if name in ("write", "follow")]
        made += [(hour // 24, "drip")] if "drip" in decision.set and hour % 24 == 0 else []
        memory = decision.memory
    return made


def test_a_cadence_comes_at_once_then_every_so_often_without_end() -> None:
    assert through("good no", 28) == [(day, "write") for day in (0, 7, 14, 21, 28)]


def test_a_cadence_with_a_cap_ends_in_what_comes_afterwards() -> None:
    assert through("good yes", 8) == [(0, "follow"), (3, "follow"), (6, "drip"), (7, "drip"), (8, "drip")]


def test_a_cadence_runs_on_when_one_stage_of_its_condition_follows_another() -> None:
    lead = example("good yes")
    prospect = example("good yes, keen yes", lead.memory, NOW + DAY)
    assert prospect.memory.marks["follow"] == Mark(1, NOW)
    assert "follow" in at(example("good yes, keen yes", prospect.memory, NOW + 3 * DAY))


def test_the_count_begins_anew_after_the_condition_stopped_but_every_is_kept() -> None:
    first = example("good no")
    lead = example("good yes", first.memory, NOW + DAY)
    assert lead.memory.marks["write"] == Mark(0, NOW)
    back = example("good no", lead.memory, NOW + 2 * DAY)
    assert ("write" in at(back), back.next_look_at) == (False, NOW + 7 * DAY)
    assert "write" not in at(example("good no", back.memory, NOW + 7 * DAY - 1))
    assert "write" in at(example("good no", back.memory, NOW + 7 * DAY))


def test_a_capped_cadence_counts_anew_in_the_next_stay() -> None:
    memory = Memory(stage="lead", since=NOW - 9 * DAY, marks={"follow": Mark(2, NOW - 6 * DAY)})
    over = example("good yes", memory)
    assert ("follow" in at(over), over.set["drip"]) == (False, "true")
    away = example("good no", over.memory, NOW + DAY)
    back = example("good yes", away.memory, NOW + 2 * DAY)
    assert ("follow" in at(back), back.memory.marks["follow"]) == (True, Mark(1, NOW + 2 * DAY))


@pytest.mark.parametrize(
    ("count", "days", "due", "drip"),
    [(0, 0, True, False), (1, 2, False, False), (1, 3, True, False), (2, 5, False, False), (2, 6, False, True),
     (5, 14, False, False),
     (5, 15, False, True)],
)  # fmt: skip
def test_where_no_times_are_known_the_next_is_due_at_since_plus_count_times_every(
    count: int, days: int, due: bool, drip: bool
) -> None:
    decision = example("good yes", Memory(stage="lead", since=NOW - days * DAY, marks={"follow": Mark(count)}))
    assert ("follow" in at(decision), "drip" in decision.set) == (due, drip)


def test_at_the_millisecond_of_every_the_next_is_due_and_not_before() -> None:
    marks = {"follow": Mark(1, NOW - 3 * DAY)}
    memory = Memory(stage="lead", since=NOW - 3 * DAY, marks=marks)
    early = example("good yes", memory, NOW - 1)
    assert ("follow" in at(early), early.next_look_at) == (False, NOW)
    assert "follow" in at(example("good yes", memory, NOW))


def test_a_worker_that_comes_late_makes_one_task_and_counts_from_then() -> None:
    memory = Memory(stage="contact", since=NOW - 40 * DAY, marks={"write": Mark(1, NOW - 40 * DAY)})
    late = example("good no", memory)
    assert (at(late), late.memory.marks["write"], late.next_look_at) == (("write",), Mark(2, NOW), NOW + 7 * DAY)


# --- closed -----------------------------------------------------------------------------------------------------------


def test_closed_drops_everything_but_forgetting() -> None:
    memory = Memory(stage="lead", since=NOW - 9 * DAY, marks={"follow": Mark(2, NOW - 6 * DAY), "call": Mark(1, NOW)})
    decision = example(f"good yes, keen yes, forget yes, last_word {NOW - 20 * DAY}", memory)
    assert (decision.stage, decision.status, at(decision)) == (None, "closed", ("forget",))
    assert decision.set == {"sk_prospect_status": "closed"}
    assert decision.memory.marks == {"forget": Mark(1, NOW), "follow": Mark(0, NOW - 6 * DAY)}
    assert decision.next_look_at is None


def test_forgetting_is_done_once_and_anew_after_the_wish_was_taken_back() -> None:
    first = example("forget yes")
    again = example("forget yes", first.memory)
    back = example("forget no, good yes", again.memory, NOW + DAY)
    anew = example("forget yes", back.memory, NOW + 2 * DAY)
    assert [at(each) for each in (first, again, anew)] == [("forget",), (), ("forget",)]
    assert "greet" in at(back)


def test_a_closed_stage_that_opens_a_deal_on_entering_does_not() -> None:
    text = PACK.replace("{id: erasure, stage: null,", "{id: erasure, stage: prospect,")
    decision = decide(rulebook_of(text), person(forget="yes"), NO_MEMORY, NOW)
    assert (decision.stage, at(decision)) == ("prospect", ("forget",))


def test_a_closed_contact_is_looked_at_again_when_time_opens_it() -> None:
    text = PACK.replace(
        "asked_to_be_forgotten: {forget: {is: yes}}", "asked_to_be_forgotten: {forget_until: {after: now}}"
    )
    decision = decide(rulebook_of(text), person(forget_until="2026-03-05", good="yes"), NO_MEMORY, NOW)
    assert (decision.status, decision.next_look_at) == ("closed", moment("2026-03-06"))


# --- values and statuses ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("properties", "status", "prospect_status", "lead_status"),
    [
        ("good yes", None, "", ""), (f"good yes, last_word {NOW - 20 * DAY}", "cold", "", "cold"),
        ("good yes, keen yes, checked yes", "cold", "cold", ""), ("good yes, keen yes", "unverified", "", "unverified"),
        (f"good yes, keen yes, day {NOW + DAY}", "hot", "hot", ""), ("good no", None, "", ""), ("", None, "", ""),
    ],
)  # fmt: skip
def test_a_status_is_written_to_its_property_and_the_other_is_cleared(
    properties: str, status: str | None, prospect_status: str, lead_status: str
) -> None:
    decision = example(properties)
    assert decision.status == status
    assert (decision.set["sk_prospect_status"], decision.set["sk_lead_status"]) == (prospect_status, lead_status)


def test_of_two_values_for_one_property_the_first_wins_and_a_status_beats_both() -> None:
    assert example("good yes, keen yes, checked yes", Memory(stage="prospect")).set == {
        "sk_prospect_status": "cold", "sk_lead_status": "", "a": "1", "b": "1", "c": "2",
    }  # fmt: skip
    text = PACK.replace('set: {a: "1", b: "1"}', 'set: {sk_prospect_status: "hot"}')
    assert decide(rulebook_of(text), person(good="yes"), NO_MEMORY, NOW).set["sk_prospect_status"] == ""


def test_what_follows_a_cadence_gives_way_to_values() -> None:
    text = PACK.replace('set: {a: "1", b: "1"}', 'set: {drip: ""}')
    memory = Memory(stage="lead", since=NOW, marks={"follow": Mark(2, NOW - 6 * DAY)})
    assert decide(rulebook_of(text), person(good="yes"), memory, NOW).set["drip"] == ""


# --- looking again ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("properties", "memory", "look"),
    [
        ("", NO_MEMORY, None),
        ("good no", NO_MEMORY, NOW + 7 * DAY),
        (f"good yes, last_word {NOW - 9 * DAY}", NO_MEMORY, NOW + DAY),
        (f"good yes, last_word {NOW - 5 * DAY}", NO_MEMORY, NOW + 3 * DAY),
        (f"good yes, keen yes, checked yes, day {NOW + 3 * DAY}", NO_MEMORY, NOW + DAY),
        (f"good yes, keen yes, checked yes, day {NOW + DAY}", NO_MEMORY, NOW + DAY),
        ("good yes, keen yes, checked yes, day 2026-03-05", NO_MEMORY, moment("2026-03-03")),
        ("good yes, keen yes, checked yes, day 2026-03-02", NO_MEMORY, moment("2026-03-03")),
        (f"good no, last_word {NOW - 9 * DAY}", NO_MEMORY, NOW + 7 * DAY),  # `quiet` alone decides nothing of a contact
    ],
)
def test_the_next_look_is_at_the_millisecond_of_the_next_difference(
    properties: str, memory: Memory, look: int | None
) -> None:
    assert example(properties, memory).next_look_at == look


def test_a_cadence_that_is_over_is_looked_at_no_more() -> None:
    memory = Memory(stage="lead", since=NOW, marks={"follow": Mark(2, NOW - 6 * DAY)})
    assert example("good yes", memory).next_look_at is None
    assert (
        example("good yes", Memory(stage="lead", since=NOW, marks={"follow": Mark(2, NOW - DAY)})).next_look_at
        == NOW + 2 * DAY
    )
    without = rulebook_of(PACK.replace(AFTERWARDS, ""))
    last = Memory(stage="lead", since=NOW, marks={"follow": Mark(1, NOW - 6 * DAY)})
    assert decide(without, person(good="yes"), last, NOW).next_look_at is None


def test_a_stay_is_looked_at_when_it_is_long_enough() -> None:
    text = PACK.replace("{all: [{stage: lead}, quiet]}", "{all: [{stage: lead}, {stage_for_at_least: 30 days}]}")
    rulebook = rulebook_of(text.replace("at_most: 2", "at_most: 1").replace(AFTERWARDS, ""))
    first = decide(rulebook, person(good="yes"), NO_MEMORY, NOW)
    assert first.next_look_at == NOW + 30 * DAY
    assert "call" not in at(decide(rulebook, person(good="yes"), first.memory, NOW + 30 * DAY - 1))
    assert "call" in at(decide(rulebook, person(good="yes"), first.memory, NOW + 30 * DAY))


def test_a_date_at_the_end_of_all_time_is_no_trouble() -> None:
    decision = example("good yes, keen yes, checked yes, day 9999-12-31, last_word 0001-01-01")
    assert decision.next_look_at == NOW + 3 * DAY


def test_many_moments_that_change_nothing_end_in_a_look_and_not_in_a_search_without_end() -> None:
    facts = "\n".join(f"  f{day}: {{x: {{after: now + {day} days}}}}" for day in range(200))
    text = f"version: 1\npack: p\nladder: [a]\nfacts:\n{facts}\nstages:\n  - {{id: s, stage: a, because: b}}\n"
    decision = decide(rulebook_of(text), person(x="2030-01-01"), NO_MEMORY, NOW)
    assert decision.next_look_at is not None
    assert decision.next_look_at > NOW


# --- a stage that is kept, counts that begin anew, values from deals --------------------------------------------------


def test_who_has_just_risen_is_not_moved_back_before_the_shortest_stay_is_over() -> None:
    rulebook = rulebook_of(PACK.replace("ladder:", "min_stay: 2 days\nladder:"))
    risen = decide(
        rulebook, person(good="yes", keen="yes", checked="yes"), Memory(stage="lead", since=NOW - 9 * DAY), NOW
    )
    kept = decide(rulebook, person(good="yes"), risen.memory, NOW + DAY)
    assert (kept.stage, kept.rule, kept.next_look_at) == ("prospect", "lead", NOW + 2 * DAY)
    assert kept.because == "Who enters prospect stays for 2 days at least; after that: They are good."
    assert decide(rulebook, person(good="yes"), kept.memory, NOW + 2 * DAY - 1).stage == "prospect"
    assert decide(rulebook, person(good="yes"), kept.memory, NOW + 2 * DAY).stage == "lead"


def test_erasure_does_not_wait_for_the_shortest_stay() -> None:
    rulebook = rulebook_of(PACK.replace("ladder:", "min_stay: 2 days\nladder:"))
    decision = decide(rulebook, person(good="yes", forget="yes"), Memory(stage="prospect", since=NOW), NOW)
    assert (decision.stage, decision.status, at(decision)) == (None, "closed", ("forget",))


def test_a_cadence_begins_anew_when_a_value_that_the_pack_names_has_changed_but_every_is_kept() -> None:
    rulebook = rulebook_of(PACK.replace("at_most: 2", "at_most: 2\n    starts_anew_on: [campaign]"))
    memory, made = NO_MEMORY, []
    for day in range(16):
        campaign = "spring" if day < 7 else "summer"
        decision = decide(rulebook, person(good="yes", campaign=campaign), memory, NOW + day * DAY)
        made += [day] if "follow" in at(decision) else []
        memory = decision.memory
    assert made == [0, 3, 7, 10]


def _derived(properties: Mapping[str, str | None], *stages: str) -> str:
    text = PACK.replace(
        "facts:", "derived:\n  good: {from: deal.dealstage, map: {no: [lost], yes: [open, won]}}\nfacts:", 1
    )
    deals = tuple({"dealstage": stage} for stage in stages)
    return decide(rulebook_of(text), Person(properties=properties, deals=deals), NO_MEMORY, NOW).facts["good"]


def test_a_derived_value_comes_from_the_deals_only_where_the_contact_has_none() -> None:
    assert [_derived({}), _derived({}, "lost"), _derived({}, "lost", "Open"), _derived({}, "else")] == [
        "unknown",
        "no",
        "yes",
        "unknown",
    ]
    assert [_derived({"good": "no"}, "won"), _derived({"good": " "}, "won")] == ["no", "yes"]


def test_a_decision_needs_no_contact_to_be_read_twice() -> None:
    """The same Rulebook judges everybody; nothing of one contact stays for the next."""
    rulebook: Rulebook = shipped()["default"]
    people = [
        person(**plain(text)) for text in ("sk_source inbound", "", "sk_relationship customer", "sk_source inbound")
    ]
    decisions = [decide(rulebook, each, NO_MEMORY, NOW) for each in people]
    assert decisions[0] == decisions[3]
    assert [decision.rule for decision in decisions] == ["worth-a-look", "everyone-else", "customer", "worth-a-look"]
