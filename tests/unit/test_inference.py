"""The C engine behind its module: the answers of plain Python, within its limits, threads, forks and reloads."""

import gc
import multiprocessing
import random
import resource
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.rulebook import inference
from connector.rulebook.inference import Conjunction, Engine
from tests.rulebooks import proof

ANSWERS = (0, 2, 3)


def oracle(rules: Mapping[str, Conjunction], facts: Mapping[str, int]) -> frozenset[str]:
    """Say which rules apply, in plain Python."""
    return frozenset(rule for rule, terms in rules.items() if all(facts[name] == wanted for name, wanted in terms))


def some_rules(rng: random.Random, *, rules: int, facts: int, longest: int) -> dict[str, Conjunction]:
    """Draw rules over facts."""
    names = [f"fact {number}" for number in range(facts)]
    return {
        f"{number}": tuple((rng.choice(names), rng.choice(ANSWERS)) for _ in range(rng.randint(0, longest)))
        for number in range(rules)
    }


def some_facts(rng: random.Random, rules: Mapping[str, Conjunction], facts: int) -> dict[str, int]:
    """Draw answers; half of the time those that make some rule apply."""
    found = {f"fact {number}": rng.choice(ANSWERS) for number in range(facts)}
    if rules and rng.random() < 0.5:
        found |= dict(rules[rng.choice(sorted(rules))])
    return found


@given(st.randoms(use_true_random=False), st.integers(0, 60), st.integers(1, 30), st.integers(1, 6))
@proof(120)
def test_the_engine_agrees_with_plain_python(rng: random.Random, rules: int, facts: int, longest: int) -> None:
    drawn = some_rules(rng, rules=rules, facts=facts, longest=longest)
    engine = Engine(drawn)
    for _ in range(8):
        answers = some_facts(rng, drawn, facts)
        assert engine.applicable(answers) == oracle(drawn, answers)


@pytest.mark.parametrize(
    ("rules", "facts", "longest"),
    [(300, 300, 4), (300, 20, 3), (200, 300, 40), (150, 60, 40), (400, 2, 2), (1_000, 500, 3)],
)
def test_the_engine_agrees_with_plain_python_beyond_its_own_limits(rules: int, facts: int, longest: int) -> None:
    """Hundreds of rules, of facts, of facts alive at once and of parts in a conjunction."""
    rng = random.Random(rules * facts + longest)
    drawn = some_rules(rng, rules=rules, facts=facts, longest=longest)
    engine = Engine(drawn)
    for _ in range(25):
        answers = some_facts(rng, drawn, facts)
        assert engine.applicable(answers) == oracle(drawn, answers)


def test_hundreds_of_rules_with_one_condition_all_match_at_once() -> None:
    rules: dict[str, Conjunction] = {f"r{number}": (("a", 3),) for number in range(600)}
    assert Engine(rules).applicable({"a": 3}) == frozenset(rules)


def test_hundreds_of_rules_with_conditions_of_their_own_all_match_at_once() -> None:
    rules: dict[str, Conjunction] = {f"r{number}": ((f"f{number}", 3),) for number in range(600)}
    engine = Engine(rules)
    assert engine.applicable({f"f{number}": 3 for number in range(600)}) == frozenset(rules)
    assert engine.applicable({f"f{number}": 0 for number in range(600)}) == frozenset()


def test_a_conjunction_of_forty_facts_needs_every_one_of_them() -> None:
    names = [f"f{number}" for number in range(40)]
    engine = Engine({"long": tuple((name, 3) for name in names)})
    assert engine.applicable(dict.fromkeys(names, 3)) == {"long"}
    for name in names:
        assert engine.applicable({**dict.fromkeys(names, 3), name: 2}) == frozenset()


def test_a_rule_without_conditions_always_applies_and_one_that_contradicts_itself_never() -> None:
    engine = Engine({"always": (), "never": (("a", 3), ("a", 0)), "a": (("a", 3),)})
    assert [engine.applicable({"a": answer}) for answer in ANSWERS] == [{"always"}, {"always"}, {"always", "a"}]


@pytest.mark.parametrize(
    "name", ["id", "sid", "$s", "$and", "costarring", "liquid", "ä ☃ \ud800", "a" * 70_000, "prime", "f0"]
)
def test_names_of_facts_never_reach_the_engine(name: str) -> None:
    engine = Engine({"r": ((name, 3),), "other": (("liquid?", 3),)})
    assert [engine.applicable({name: answer, "liquid?": 0}) for answer in ANSWERS] == [frozenset(), frozenset(), {"r"}]


def test_an_answer_is_remembered_per_set_of_facts(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    run = inference._run

    def counting(handle: int, message: str) -> Any:
        asked.append(message)
        return run(handle, message)

    monkeypatch.setattr(inference, "_run", counting)
    engine = Engine({"r": (("a", 3),)})
    assert [engine.applicable({"a": 3, "irrelevant": number}) for number in range(5)] == [frozenset({"r"})] * 5
    assert asked == ['{"id": "1", "prime": 1}', '{"id": "1", "f0": 1}']


# --- threads, forks, reloads, interruptions ---------------------------------------------------------------------------


def _wrong_answers(engine: Engine, rules: Mapping[str, Conjunction], seed: int) -> int:
    rng = random.Random(seed)
    drawn = [some_facts(rng, rules, 14) for _ in range(400)]
    return sum(engine.applicable(facts) != oracle(rules, facts) for facts in drawn)


def test_eight_threads_in_one_engine_get_no_wrong_answer() -> None:
    rules = some_rules(random.Random(8), rules=80, facts=14, longest=3)
    engine = Engine(rules)
    with ThreadPoolExecutor(max_workers=8) as threads:
        wrong = list(threads.map(lambda seed: _wrong_answers(engine, rules, seed), range(8)))
    assert wrong == [0] * 8


def _in_child(work: Callable[[], Any]) -> Any:
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)

    def run() -> None:
        sender.send(work())
        sender.close()

    child = context.Process(target=run)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # from 3.12 on, of forking beside threads: it is the point
        child.start()
    try:
        assert receiver.poll(30), "the child gave no answer"
        return receiver.recv()
    finally:
        child.join(10)
        if child.is_alive():
            child.kill()
        receiver.close()
        sender.close()


def test_an_engine_used_before_a_fork_answers_in_the_child_and_in_the_parent() -> None:
    rules = some_rules(random.Random(9), rules=80, facts=14, longest=3)
    engine = Engine(rules)
    assert _wrong_answers(engine, rules, 1) == 0
    assert _in_child(lambda: _wrong_answers(engine, rules, 2)) == 0
    assert _wrong_answers(engine, rules, 3) == 0


def test_a_fork_while_another_thread_asks_the_engine_leaves_the_child_able_to_ask() -> None:
    """The lock is held at the moment of the fork; the child would otherwise wait for it for ever."""
    rules = some_rules(random.Random(10), rules=80, facts=14, longest=3)
    engine = Engine(rules)
    with inference._RuleSet._lock_of_process():
        assert _in_child(lambda: _wrong_answers(engine, rules, 4)) == 0


def _resident() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _reload(times: int) -> int:
    rules = some_rules(random.Random(11), rules=60, facts=20, longest=3)
    wrong = 0
    for seed in range(times):
        facts = some_facts(random.Random(seed), rules, 20)
        wrong += Engine(rules).applicable(facts) != oracle(rules, facts)
    return wrong


def _growth_kib() -> tuple[int, int]:
    gc.disable()  # an engine that is no longer used must be freed without the collector's help
    wrong = _reload(60)
    before = _resident()
    return wrong + _reload(600), _resident() - before


def test_hundreds_of_reloads_leave_memory_flat() -> None:
    """Each rule set that is not freed costs 0.7 MB: 600 engines of two sets would be 800 MB."""
    wrong, grown = _in_child(_growth_kib)
    assert wrong == 0
    assert grown < 40_000


def test_garbage_that_is_collected_in_the_middle_of_a_sequence_neither_waits_nor_spoils_the_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine, doomed = Engine({"r": (("a", 3),)}), [Engine({"r": (("a", 3),)})]
    doomed[0].applicable({"a": 3})
    run = inference._run

    def collecting(handle: int, message: str) -> Iterator[str]:
        for name in run(handle, message):
            doomed.clear()
            gc.collect()
            yield name

    monkeypatch.setattr(inference, "_run", collecting)
    found: list[frozenset[str]] = []
    asking = threading.Thread(target=lambda: found.append(engine.applicable({"a": 3})), daemon=True)
    asking.start()
    asking.join(20)
    assert found == [frozenset({"r"})]


class Interrupted(BaseException):
    """Stands for a KeyboardInterrupt or a worker that is told to stop."""


@pytest.mark.parametrize("after", [0, 1, 2, 3])
def test_an_interruption_between_start_and_complete_leaves_no_wrong_answer(
    after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules: dict[str, Conjunction] = {f"r{number}": ((f"f{number % 5}", 3),) for number in range(10)}
    engine = Engine(rules)
    assert engine.applicable({f"f{number}": 0 for number in range(5)}) == frozenset()
    run = inference._run

    def interrupted(handle: int, message: str) -> Iterator[str]:
        for count, name in enumerate(run(handle, message)):
            if count == after and "prime" not in message:
                raise Interrupted
            yield name

    with monkeypatch.context() as patch:
        patch.setattr(inference, "_run", interrupted)
        with pytest.raises(Interrupted):
            engine.applicable(dict.fromkeys([f"f{number}" for number in range(5)], 3))
    rng = random.Random(after)
    for _ in range(50):
        facts = {f"f{number}": rng.choice(ANSWERS) for number in range(5)}
        assert engine.applicable(facts) == oracle(rules, facts)


def test_an_error_of_the_engine_is_raised_and_the_next_answer_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine({"r": (("a", 3),)})
    with monkeypatch.context() as patch:
        patch.setattr(inference.c_engine, "assert_fact", lambda *_: (303, 0))
        with pytest.raises(RuntimeError, match="303"):
            engine.applicable({"a": 3})
    assert engine.applicable({"a": 3}) == {"r"}
