"""Editors underline nothing that `check` takes: packs are drawn at random, well written and not, and put to both."""

import json
import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from jsonschema import Draft7Validator

from connector.problems import is_broken
from connector.rulebook.checking import load_pack_text
from connector.rulebook.operators import OPERATORS
from connector.rulebook.reading import read_bytes
from connector.schema.files import schema_of
from tests.rulebooks import SEEDS, proof

VALIDATOR = Draft7Validator(schema_of("pack"))
SETTINGS = {"soon": "30 days", "few": 3, "words": ["a", "b"], "odd": True}
KEYS = (
    "x", "sk_need", "sk_ready_by", "contact.x", "company.numberofemployees", "company.", "deal.amount", "a.b", "a.b.c",
    "x y", "", "-", "_x", "fits", "fits.v2", "Fits", "now", "lifecyclestage", "contact.stage",
)  # fmt: skip
OPERANDS: tuple[Any, ...] = (
    "yes", "a;b", "", " ", "(", "5", "5.0", "1e9", "1772442000000", "now", "NOW + 3 days", "now+$soon", "now - 1 month",
    "now + $few", "$soon", " $soon ", "$few", "$words", "$nope", "30 days", "2 Weeks", "1.5 hours", "90 MINUTES",
    "3 hs", "5ms", "1 month", "12", "2026-03-02", "2026-02-30", "2026-03-02T09:00", "2026-W10-1T09:00",
    "2026-03-02 09:00+01:00", "tomorrow", 0, 5, -1, 2.5, 1772442000000, -1772442000000, 99_999_999, True, False, None,
    [], ["a"], [1, "x"], [None], ["a", ["b"]], [1, 2], ["1", "$few"], ["2026-01-01", "now"], [1, "2026-01-01"],
    ["now", "$soon"], ["$few"], [1, 2, 3], {}, {"is": 1}, "lead", "contact", ["lead", None], "hot", ["hot", "cold"],
)  # fmt: skip
_TEXTS = ("yes", "a;b", "", 5, True, "$few")
_LISTS = (["a"], [1, "x"], "$words", ["$few"])
_TIMES = ("2026-03-02", "now", "NOW + 3 days", "now - $soon", "2026-03-02T09:00", "1772442000000", 1772442000000)
_ORDERED = (0, 2.5, "5.0", "1e9", "$few", *_TIMES)
_DURATIONS = ("30 days", "2 Weeks", "1.5 hours", "$soon", " $soon ")
FITTING: dict[str, Sequence[Any]] = {
    **dict.fromkeys(("is", "is_not", "contains", "starts_with", "ends_with"), _TEXTS),
    **dict.fromkeys(("in", "not_in", "contains_any"), _LISTS),
    **dict.fromkeys(("at_least", "at_most", "more_than", "less_than"), _ORDERED),
    **dict.fromkeys(("before", "after"), _TIMES),
    **dict.fromkeys(("within_last", "not_within_last", "within_next", "stage_for_at_least"), _DURATIONS),
    "between": [[1, 2], ["1", "$few"], ["2026-01-01", "now"]], "matches": ["^a+", "b"], "known": [True, False],
    "stage": ["lead", None, ["lead", None]], "entered": ["contact", ["lead"]], "status": ["hot", None, ["hot", "cold"]],
}  # fmt: skip
STATE = ("stage", "status", "stage_for_at_least", "entered")


class _Draw:
    """Draws a pack, mostly well written and now and then not."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.faulty = self.rng.choice([0.0, 0.0, 0.1, 0.4])

    def either(self, good: Any, *bad: Any) -> Any:
        return self.rng.choice(bad) if bad and self.rng.random() < self.faulty else self.rng.choice(good)

    def _operators(self) -> list[str]:
        return self.rng.sample(sorted(OPERATORS), self.rng.choice([1, 1, 2]))

    def condition(self, depth: int = 0, *, of_deals: bool = False) -> Any:
        kind = self.rng.randrange(8 if depth < 3 else 4)
        if kind == 0 and not of_deals:
            return self.either(["fits", "fits.v2", " fits "], "fitz", "", 5, None, [])
        if kind == 1 and not of_deals:
            name = self.rng.choice(STATE[:3])
            return {name: self.either(FITTING[name], *OPERANDS)}
        if kind <= 4:
            tests = {self.either([name], "equals"): self.either(FITTING[name], *OPERANDS) for name in self._operators()}
            keys = ["amount", "deal.amount", "stage"] if of_deals else ["x", "sk_need", "company.x", "contact.x"]
            return {self.either(keys, *KEYS): self.either([tests], {}, "yes", None, [tests])}
        inner = [self.condition(depth + 1, of_deals=of_deals) for _ in range(self.rng.randint(1, 2))]
        if kind == 5:
            return {"not": self.either(inner, None, [])}
        if kind == 6:
            deals = self.condition(depth + 1, of_deals=True)
            return {self.either(["any_deal", "no_deal"]): self.either([deals], "fits", {})}
        return {self.either(["all", "any"]): self.either([inner], [], "fits", {})}

    def entry(self, good: dict[str, list[Any]]) -> Any:
        """Draw an entry: some keys left out, some with a value that is nothing there, some with a name that is none."""
        bad = (None, 5, "", [], {}, True, "yes")
        made = {key: self.either(values, *bad) for key, values in good.items() if self.rng.random() > self.faulty / 3}
        return {self.either([key], key, key, f"{key}s"): value for key, value in made.items()}

    def some(self, good: dict[str, list[Any]], *needed: str) -> Any:
        """Draw an entry with the keys that are needed and some of the others."""
        return self.entry({key: one for key, one in good.items() if key in needed or self.rng.random() < 0.4})

    def sections(self) -> dict[str, list[Any]]:
        """Draw one entry for each section."""
        of = {"id": ["one", "x.y-z_1"], "when": [self.condition(), "fits"]}
        task = {
            "title": ["Call {{ contact.firstname }}", "x" * 500], "type": ["todo", "call"], "notes": [""],
            "due": ["1 day", "$soon", "2 business days", "3  business day"], "priority": ["low"], "effort": ["high"],
            "owner": ["default", ["a@b.example"], "a@b.example"], "queue": ["123", 123, None],
        }  # fmt: skip
        action = self.rng.choice([{"do": [["erase"]]}, {"create_deal": [{"stage": 12}], "do": [None, []]}])
        cadence = {
            "id": ["again"], "while": [self.condition()], "every": ["3 days", "$soon"], "at_most": [2, "$few", None],
            "task": [self.some(task, "title")], "starts_anew_on": [["x"]],
            "afterwards": [{"set": {"x": "y"}}, None],
        }  # fmt: skip
        stage = {**of, "stage": ["lead", None], "because": ["So.", ""], "backward": [True, "yes", 0, "OFF"]}
        status = {**of, "status": ["hot", "cold"], "of": ["lead", ["lead", "contact"], None, []]}
        values = [{"sk_drip": "true"}, {"x": 5, "y": True}, {"sk_accepted_step": "close"}, {"a": ""}]
        return {
            "stages": [[self.some(stage, "id", "stage", "because")]],
            "statuses": [[self.some(status, "id", "status")]],
            "values": [[self.some({**of, "set": values}, "set")]],
            "tasks": [[self.some({**of, **task}, "id", "title")]],
            "cadences": [[self.some(cadence, "id", "while", "every", "task")]],
            "actions": [[self.some({**of, **action}, "id", *action)]],
        }

    def pack(self) -> Any:
        """Draw a whole pack."""
        condition = self.condition()
        facts = {"fits": {"y": {"known": True}}, "fits.v2": {"x": {"is": 1}}, "drawn": self.condition()}
        derived = {"x": {"from": "deal.y", "map": {"a": ["b", 5]}}}
        whole: dict[str, Any] = {
            "version": [1], "pack": ["small"], "ladder": [["contact", "lead"]], "min_stay": ["3 days", None, "$soon"],
            "settings": [SETTINGS],
            "facts": [self.either([facts], {"stage": condition, **facts}, {"deal.x": condition, **facts})],
            "insist_on": [["num_notes"]],
            "derived": [self.either([derived], {"sk_sales_step": {"from": "deal.y", "map": {}}}, {"x": {}})],
            **self.sections(),
        }  # fmt: skip
        return self.some(whole, "version", "pack", "ladder", "stages", "settings", "facts")


def judged(data: Any) -> tuple[list[str], bool]:
    """Give what the schema finds in a pack, and whether `check` refuses it."""
    text = json.dumps(data)
    document, _ = read_bytes(text.encode(), file="pack.yaml")
    assert document is not None
    found = [f"{list(error.absolute_path)}: {error.message[:300]}" for error in VALIDATOR.iter_errors(document.data)]
    return found, is_broken(load_pack_text(text)[1])


def judged_fact(condition: Any) -> tuple[list[str], bool]:
    """Give the same for a pack with one condition."""
    stages = [{"id": "all", "stage": "lead", "because": "So it is."}]
    facts = {"one": condition, "fits": {"x": {"is": 1}}, "fits.v2": {"x": {"is": 1}}}
    head = {"version": 1, "pack": "small", "ladder": ["contact", "lead"], "settings": SETTINGS}
    return judged({**head, "facts": facts, "stages": stages})


# --- every word of the grammar, with everything that might stand beside it --------------------------------------------

ONLY_CHECK_KNOWS = frozenset({"$few", "$words", "$nope", "$soon", " $soon ", "(", "2026-02-30", "lead", "contact"})
"""What a setting holds, what RE2 takes, which days a month has, and which stages are on the ladder."""


@pytest.mark.parametrize("operator", [*sorted(OPERATORS), "equals", "IS"])
def test_an_operand_is_underlined_when_and_only_when_it_cannot_be_read(operator: str) -> None:
    for operand in OPERANDS:
        found, refused = judged_fact({"x": {operator: operand}})
        assert refused or not found, (operand, found)
        held = operand if isinstance(operand, list) else [operand]
        if refused and not any(isinstance(one, str) and ("$" in one or one in ONLY_CHECK_KNOWS) for one in held):
            assert found, operand


@pytest.mark.parametrize("name", STATE)
def test_a_stage_or_status_is_underlined_only_when_check_refuses_it(name: str) -> None:
    for operand in OPERANDS:
        found, refused = judged_fact({name: operand})
        assert refused or not found, (operand, found)


def test_a_key_is_underlined_only_when_check_refuses_it() -> None:
    for key in KEYS:
        for condition in ({key: {"is": "yes"}}, {"any_deal": {key: {"is": "yes"}}}):
            found, refused = judged_fact(condition)
            assert refused or not found, (condition, found)
    underlined = {key for key in KEYS if judged_fact({key: {"is": "yes"}})[0]}
    assert underlined == {"company.", "deal.amount", "x y", ""}  # `a.b` and `a.b.c` might be facts


# --- whole packs ------------------------------------------------------------------------------------------------------


@proof(400)
@given(SEEDS)
def test_what_the_schema_underlines_check_refuses(seed: int) -> None:
    data = _Draw(seed).pack()
    found, refused = judged(data)
    assert refused or not found, f"{json.dumps(data)}\n{found}"


def test_the_packs_that_are_drawn_are_of_every_kind() -> None:
    """Otherwise the proof above would prove nothing; and the schema finds most of what is wrong."""
    drawn = [judged(_Draw(seed).pack()) for seed in range(200)]
    taken = sum(not found and not refused for found, refused in drawn)
    underlined = sum(bool(found) for found, _ in drawn)
    assert taken > 40
    assert underlined > 60
    assert underlined > sum(refused and not found for found, refused in drawn)
