"""From a file to a checked pack, or to every problem in it: names, ids, references, circles, texts."""

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from graphlib import CycleError, TopologicalSorter
from hashlib import sha256
from pathlib import Path
from typing import Any

from connector.problems import Problem, is_broken
from connector.rulebook.conditions import (
    ALWAYS_YES,
    OBJECTS,
    Condition,
    ConditionReader,
    FactTest,
    StateTest,
    leaves,
)
from connector.rulebook.contradictions import contradictions
from connector.rulebook.feedback import fed_by_own_writes
from connector.rulebook.mending import mended
from connector.rulebook.operands import names_setting
from connector.rulebook.pack import Pack, PackFile
from connector.rulebook.reading import Document, Path_, read_bytes, read_raw
from connector.rulebook.sections import Faults, SectionReader
from connector.rulebook.shape import shape

RESERVED = frozenset(
    {"all", "any", "not", "any_deal", "no_deal", "stage", "status", "entered", "stage_for_at_least", "now"}
)
_OWN_ID = ("stages", "statuses", "values")
_STAND_INS: Mapping[str, Any] = {
    "version": 1, "pack": "nameless", "ladder": ["nameless"], "stages": [{}], "because": "?", "status": "new",
    "set": {"nameless": "x"}, "title": "?", "task": {}, "every": "1 day", "while": {"nameless": {"known": True}},
    "from": "deal.nameless", "map": {"nameless": []},
}  # fmt: skip


def load_pack(path: Path, *, shown_as: str | None = None) -> tuple[Pack | None, list[Problem]]:
    """Read and check a pack; no pack when anything in it is wrong (warnings do not count)."""
    file = shown_as or str(path)
    raw, problems = read_raw(path, file=file)
    return (None, problems) if raw is None else _load(raw, file)


def load_pack_text(text: str, *, file: str = "pack.yaml") -> tuple[Pack | None, list[Problem]]:
    """Read and check a pack from a text."""
    return _load(text.encode(), file)


def _load(raw: bytes, file: str) -> tuple[Pack | None, list[Problem]]:
    pack, problems = _loaded(raw, file)
    return pack, list(problems)


@lru_cache(maxsize=8)
def _loaded(raw: bytes, file: str) -> tuple[Pack | None, tuple[Problem, ...]]:
    """Read and check what stands in a file; several look at the same one, and each look takes as long as the first."""
    document, problems = read_bytes(raw, file=file)
    pack, problems = (None, problems) if document is None else check_pack(document, problems)
    return pack, tuple(problems)


def check_pack(document: Document, found: Sequence[Problem] = ()) -> tuple[Pack | None, list[Problem]]:
    """Check a pack's document; gives the pack and all problems, sorted by place."""
    problems = list(found)
    file, shape_problems = shape(PackFile, document)
    problems += shape_problems
    if file is None:
        _check_the_rest(document, problems)
        return None, sorted(problems)
    pack = _Checker(document, file, problems).pack()
    return (None if is_broken(problems) else pack), sorted(problems)


def _check_the_rest(document: Document, problems: list[Problem]) -> None:
    """Check what is left of a file whose shape is wrong elsewhere, so that one run still reports all of it."""
    data = document.data if isinstance(document.data, dict) else {}
    missed = {name: not isinstance(data.get(name), kind) for name, kind in (("ladder", list), ("facts", dict))}
    absent = {
        "unknown-stage": missed["ladder"], "unknown-fact": missed["facts"],
        "unknown-setting": not isinstance(data.get("settings"), dict),
        "wrong-action": True,  # what it was to do may have been taken out
    }  # fmt: skip
    found: list[Problem] = []
    file = mended(PackFile, document, _stand_in)
    if file is not None:
        _Checker(document, file, found).pack()
    problems += [one for one in found if one.severity == "error" and not absent.get(one.code)]


def _stand_in(path: Path_, key: str) -> Any:
    """Give something for a key that is missing, of which nothing else can be said."""
    if key == "id":
        return "nameless-" + "-".join(map(str, path))
    if key == "stage":
        return "nameless" if path[-1:] == ("create_deal",) else None
    return _STAND_INS.get(key)


class _Checker:
    """Checks what the shape cannot say; one use per document."""

    def __init__(self, document: Document, file: PackFile, problems: list[Problem]) -> None:
        self.document = document
        self.file = file
        self.faults = Faults(document, problems)
        self.reader = ConditionReader(
            document, settings=file.settings, facts=file.facts, ladder=file.ladder, problems=problems
        )
        self.sections = SectionReader(document, file, self.reader, self.faults)

    def pack(self) -> Pack:
        self._check_names()
        facts = self._ordered({name: self.reader.read(data, ("facts", name)) for name, data in self.file.facts.items()})
        pack = Pack(
            name=self.file.pack,
            description=self.file.description,
            file=self.document.file,
            hash=sha256(json.dumps(self.document.data).encode()).hexdigest(),
            ladder=tuple(self.file.ladder),
            settings=self.file.settings,
            derived=self.sections.derived(),
            min_stay=self.sections.min_stay(),
            facts=facts,
            stages=self.sections.stages(),
            statuses=self.sections.statuses(),
            values=self.sections.values(),
            tasks=self.sections.tasks(),
            cadences=self.sections.cadences(),
            actions=self.sections.actions(),
        )
        self._check_entered(pack)
        for condition in pack.conditions():
            self.faults.problems.extend(contradictions(condition))
        self._warn_of_the_unreachable(pack)
        self.faults.problems += fed_by_own_writes(pack, self.file.insist_on)
        if not is_broken(self.faults.problems):  # a condition that could not be read may use any fact
            self._warn_of_unused_facts(pack)
        return pack

    # --- names and ids ------------------------------------------------------------------------------------------------

    def _check_names(self) -> None:
        for name in self.file.facts:
            object_, dot, _ = name.partition(".")
            if name in RESERVED or (dot and object_ in OBJECTS):  # the property of that name could not be asked for
                found = f"{name!r} has a meaning of its own"
                self.faults.report(("facts", name), "reserved-name", found, "rename the fact", at_key=True)
        for name, value in self.file.settings.items():
            if names_setting(value):
                found = f"the setting {name!r} names another one"
                self.faults.report(("settings", name), "nested-setting", found, "write its value there")
        self._check_twice([(("ladder", number), name) for number, name in enumerate(self.file.ladder)], "stage")
        for section in _OWN_ID:
            self._check_twice(self._ids(section), "id")
        self._check_twice([*self._ids("tasks"), *self._ids("cadences"), *self._ids("actions")], "id")

    def _ids(self, section: str) -> list[tuple[Path_, str]]:
        entries = enumerate(getattr(self.file, section))
        return [((section, number, "id"), entry.id) for number, entry in entries if entry.id is not None]

    def _check_twice(self, named: Iterable[tuple[Path_, str]], what: str) -> None:
        first: dict[str, Path_] = {}
        for path, name in named:
            if name in first:
                place = self.document.value_place(first[name])
                found = f"the {what} {name!r} stands twice; the first is at {place.line}:{place.column}"
                self.faults.report(path, f"duplicate-{what}", found, "give one of them another name")
            first.setdefault(name, path)

    def _ordered(self, facts: Mapping[str, Condition]) -> dict[str, Condition]:
        needs = {
            name: {leaf.fact for leaf in leaves(condition) if isinstance(leaf, FactTest)}
            for name, condition in facts.items()
        }
        while True:
            try:
                return {name: facts[name] for name in TopologicalSorter(needs).static_order()}
            except CycleError as error:
                circle = list(reversed(error.args[1]))
            found = f"facts build on each other in a circle: {' → '.join(circle)}"
            cure = f"break the circle; a property that is called like the fact is `contact.{circle[0]}`"
            self.faults.report(("facts", circle[0]), "circular-facts", found, cure, at_key=True)
            needs[circle[0]].discard(circle[1])  # to find the next one

    def _check_entered(self, pack: Pack) -> None:
        """Refuse `entered` where the stage is still being decided: in stage rules and in what they build on."""
        entering = {name for name, condition in pack.facts.items() if _tests_entered(condition)}
        for name, condition in pack.facts.items():
            if any(isinstance(leaf, FactTest) and leaf.fact in entering for leaf in leaves(condition)):
                entering.add(name)
        for rule in pack.stages:
            for leaf in leaves(rule.when):
                if _is_entered(leaf) or (isinstance(leaf, FactTest) and leaf.fact in entering):
                    found = f"the stage rule {rule.id!r} asks which stage is entered, which it helps to decide"
                    cure = "use `entered` in values, tasks, cadences and actions; in stages, `stage:` is the one before"
                    problem = Problem(place=leaf.place, code="entered-in-stages", found=found, cure=cure)
                    self.faults.problems.append(problem)

    # --- warnings -----------------------------------------------------------------------------------------------------

    def _warn_of_the_unreachable(self, pack: Pack) -> None:
        catch_all = None
        for rule in pack.stages:
            if catch_all is not None:
                found = f"{rule.id!r} stands after {catch_all!r}, which always applies, and can never win"
                self.faults.warn(rule.place, "unreachable-rule", found, "move it up, or remove it")
            elif rule.when == ALWAYS_YES:
                catch_all = rule.id

    def _warn_of_unused_facts(self, pack: Pack) -> None:
        tests = (leaf for condition in pack.conditions() for leaf in leaves(condition))
        used = {leaf.fact for leaf in tests if isinstance(leaf, FactTest)}
        for name in self.file.facts:
            if name not in used:
                place = self.document.place(("facts", name))
                found = f"no rule uses the fact {name!r}"
                self.faults.warn(place, "unused-fact", found, "it still shows in explanations")


def _is_entered(leaf: object) -> bool:
    return isinstance(leaf, StateTest) and leaf.kind == "entered"


def _tests_entered(condition: Condition) -> bool:
    return any(_is_entered(leaf) for leaf in leaves(condition))
