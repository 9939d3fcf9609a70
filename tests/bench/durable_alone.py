"""durable-rules used alone on the table of `peers.py`: a process of its own, because the engine can end it.

`python -m tests.bench.durable_alone` gives its answers as one line of JSON, then, for every line that it reads, a rate
per second of processor time. The engine is handed each contact's own values as one fact, through its C module: the
library's Python layer delivers results in threads of its own and grows with every rule set. Of the rules that match,
the first of the table is taken; a contact that none matches gets the table's last.
"""

import json
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

import durable_rules_engine as engine

from tests.bench.peers import TABLE, Contact, Row, Test, crowd

_SIGNS = {"at_least": "$gte", "less_than": "$lt"}
_PRIME = "prime"


def main() -> None:
    """Answer, then measure whenever asked to."""
    handle = make()
    people = crowd()
    print(json.dumps([decide(handle, one) for one in people]), flush=True)
    for _ in sys.stdin:
        started = time.process_time()
        for one in people:
            decide(handle, one)
        print(len(people) / (time.process_time() - started), flush=True)


def make() -> int:
    """Make the rule set; the engine initialises with the first action what it frees when it ends."""
    rules = {row.id: _matching(row) for row in TABLE if row.tests}
    handle: int = engine.create_ruleset("twelve", json.dumps({**rules, _PRIME: {"all": [{"m": {_PRIME: 1}}]}}))
    list(_fired(handle, json.dumps({"id": "1", _PRIME: 1})))
    return handle


def decide(handle: int, one: Contact) -> str:
    """Assert the contact, see which rules fire, and take it back."""
    fired = set(_fired(handle, json.dumps({"id": "1", **one})))
    return next(row.id for row in TABLE if row.id in fired or not row.tests)


def _matching(row: Row) -> Mapping[str, Any]:
    conditions = [_condition(test) for test in row.tests]
    return {"all": [{"m": {"$and": conditions} if len(conditions) > 1 else conditions[0]}]}


def _condition(test: Test) -> Mapping[str, Any]:
    name, how, value = test
    return {name: value} if how == "is" else {_SIGNS[how]: {name: value}}


def _fired(handle: int, fact: str) -> Iterator[str]:
    code, state = engine.assert_fact(handle, fact)
    if code == 0:
        action = engine.start_action_for_state(handle, state)
        context = action[1] if action else None
        while context is not None:
            yield next(iter(json.loads(context)))
            context = engine.complete_and_start_action(handle, state)
    elif code != 1:
        raise RuntimeError(f"durable-rules gave error {code} on asserting a fact")
    engine.retract_fact(handle, fact)


if __name__ == "__main__":
    main()
