"""Which rules apply, by durable-rules: handed the names of facts that hold, never a value from the CRM.

The library is a Rete engine in C that can crash the process when used otherwise than here: rule sets are small (its
limits on first conditions, properties and rules are kept by construction), each has been primed before use, one fact
is alive at a time, one lock stands around the whole sequence, and a sequence that was interrupted throws its rule set
away. The answer depends on the set of facts alone and is remembered per set. No other module imports the engine.
"""

import itertools
import json
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import ClassVar

import durable_rules_engine as c_engine

Conjunction = tuple[tuple[str, int], ...]
"""Facts and the answers that they must have, joined by and."""

_MOST_RULES = 48
"""Fewer than the 64 first conditions that may match at once before the engine gives error 303."""
_MOST_FACTS = 200
"""Fewer than the 252 properties of a fact before error 302, and than 512 conditions under a node (an endless loop)."""
_REMEMBERED = 20_000
_names = itertools.count()


class Engine:
    """The rules of one section of a pack; asks the C engine once per distinct set of facts."""

    def __init__(self, rules: Mapping[str, Conjunction]) -> None:
        self._terms = tuple(dict.fromkeys(term for terms in rules.values() for term in terms))
        self._unconditional = frozenset(rule for rule, terms in rules.items() if not terms)
        conditional = {rule: terms for rule, terms in rules.items() if terms}
        self._remembered = lru_cache(maxsize=_REMEMBERED)(_inference(conditional))

    def applicable(self, facts: Mapping[str, int]) -> frozenset[str]:
        """Name the rules whose every fact has the wanted answer."""
        holding = frozenset(term for term in self._terms if facts[term[0]] == term[1])
        return self._unconditional | self._remembered(holding)


def _inference(rules: Mapping[str, Conjunction]) -> Callable[[frozenset[tuple[str, int]]], frozenset[str]]:
    """Give the function that asks the C engine; it holds no reference to its `Engine`, so both go at once."""
    rulesets = tuple(_RuleSet(part) for part in _parted(rules))
    return lambda holding: frozenset[str]().union(*(ruleset.applicable(holding) for ruleset in rulesets))


def _parted(rules: Mapping[str, Conjunction]) -> list[dict[str, Conjunction]]:
    """Split rules so that each part stays within the engine's limits."""
    parts: list[dict[str, Conjunction]] = []
    terms: set[tuple[str, int]] = set()
    for rule, conjunction in rules.items():
        if not parts or len(parts[-1]) >= _MOST_RULES or len(terms.union(conjunction)) > _MOST_FACTS:
            parts.append({})
            terms = set()
        parts[-1][rule] = conjunction
        terms.update(conjunction)
    return parts


class _RuleSet:
    """One rule set of the C engine, made on first use and made anew after a fork or an interruption."""

    _locks: ClassVar[dict[int, threading.Lock]] = {}
    """One lock per process, as a fork may copy one that is held: the C calls hold the interpreter's lock anyway."""
    _left: ClassVar[deque[tuple[int, int]]] = deque()
    """Handles of rule sets that are gone, with their process; freed with the lock held, before the next is made.
    Not at once: a collection of garbage may come in the middle of another rule set's sequence, on the same thread."""

    def __init__(self, rules: Mapping[str, Conjunction]) -> None:
        self._rules = tuple(rules)
        terms = dict.fromkeys(term for conjunction in rules.values() for term in conjunction)
        self._keys = {term: f"f{number}" for number, term in enumerate(terms)}
        self._definition = self._define(rules)
        self._handle: int | None = None
        self._process = 0

    def _define(self, rules: Mapping[str, Conjunction]) -> str:
        def matching(keys: Sequence[str]) -> dict[str, object]:
            return {"all": [{"m": {"$and": [{key: 1} for key in keys]} if len(keys) > 1 else {keys[0]: 1}}]}

        definition = {
            f"r{number}": matching([self._keys[term] for term in conjunction])
            for number, conjunction in enumerate(rules.values())
        }
        return json.dumps({**definition, "prime": matching(["prime"])})

    def applicable(self, holding: frozenset[tuple[str, int]]) -> list[str]:
        """Name the rules of this set that the facts satisfy."""
        fact = {key: 1 for term, key in self._keys.items() if term in holding}
        if not fact:
            return []
        with self._lock_of_process():
            fired = self._fired(self._ready(), fact)
        return [self._rules[int(name[1:])] for name in fired if name != "prime"]

    def _ready(self) -> int:
        """Give the handle; a child process never touches a rule set that was made before the fork."""
        if self._handle is None or self._process != os.getpid():
            self._free()
            self._process = os.getpid()
            handle: int = c_engine.create_ruleset(f"stagekeeper-{next(_names)}", self._definition)
            self._handle = handle
            # Deleting a state in which no action ever ran is a segmentation fault: run one now.
            self._fired(handle, {"prime": 1})
        return self._handle

    def _fired(self, handle: int, fact: Mapping[str, int]) -> list[str]:
        message = json.dumps({"id": "1", **fact})
        try:
            names = list(_run(handle, message))
        except BaseException:
            self._handle = None  # poisoned; it is abandoned, as its state can no longer be trusted
            raise
        return names

    @classmethod
    def _lock_of_process(cls) -> threading.Lock:
        return cls._locks.setdefault(os.getpid(), threading.Lock())

    def _free(self) -> None:
        """Free what rule sets that are gone have left: the state first, then the rule set."""
        while self._left:
            handle, process = self._left.popleft()
            if process == os.getpid():
                c_engine.delete_state(handle, None)
                c_engine.delete_ruleset(handle)

    def __del__(self) -> None:
        if self._handle is not None:
            self._left.append((self._handle, self._process))


def _run(handle: int, message: str) -> Iterable[str]:
    """Assert one fact, run the actions that it causes to their end, and take it back."""
    code, state = c_engine.assert_fact(handle, message)
    if code == 0:
        action = c_engine.start_action_for_state(handle, state)
        context = action[1] if action else None
        while context is not None:
            yield next(iter(json.loads(context)))
            context = c_engine.complete_and_start_action(handle, state)
    elif code != 1:
        raise RuntimeError(f"durable-rules gave error {code} on asserting a fact")
    c_engine.retract_fact(handle, message)
