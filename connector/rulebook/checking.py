"""From a file to a checked pack, or to every problem in it: names, ids, references, circles, texts."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson

from connector.problems import Problem, is_broken, nearest
from connector.rulebook.conditions import (
    ALWAYS_YES,
    Condition,
    ConditionReader,
    FactTest,
    StateTest,
    leaves,
)
from connector.rulebook.operands import OperandError, as_duration, resolved, shown
from connector.rulebook.pack import (
    ActionRule,
    CadenceRule,
    Due,
    Pack,
    PackFile,
    StageRule,
    StatusRule,
    TaskBody,
    TaskRule,
    ValueRule,
)
from connector.rulebook.reading import Document, Path_, read_bytes, read_file
from connector.rulebook.shape import shape
from connector.rulebook.templates import syntax_error

RESERVED = frozenset(
    {"all", "any", "not", "any_deal", "no_deal", "stage", "status", "entered", "stage_for_at_least", "now"}
)
_OWN_ID = ("stages", "statuses", "values")


def load_pack(path: Path, *, shown_as: str | None = None) -> tuple[Pack | None, list[Problem]]:
    """Read and check a pack; no pack when anything in it is wrong (warnings do not count)."""
    document, problems = read_file(path, shown_as=shown_as)
    return (None, problems) if document is None else check_pack(document, problems)


def load_pack_text(text: str, *, file: str = "pack.yaml") -> tuple[Pack | None, list[Problem]]:
    """Read and check a pack from a text."""
    document, problems = read_bytes(text.encode(), file=file)
    return (None, problems) if document is None else check_pack(document, problems)


def check_pack(document: Document, found: Sequence[Problem] = ()) -> tuple[Pack | None, list[Problem]]:
    """Check a pack's document; gives the pack and all problems, sorted by place."""
    problems = list(found)
    file, shape_problems = shape(PackFile, document)
    problems += shape_problems
    if file is None:
        _check_conditions(document, problems)
        return None, sorted(problems)
    pack = _Checker(document, file, problems).pack()
    return (None if is_broken(problems) else pack), sorted(problems)


def _check_conditions(document: Document, problems: list[Problem]) -> None:
    """Read every condition of a file whose shape is wrong elsewhere, so that one run still reports all of it."""
    data = document.data if isinstance(document.data, dict) else {}
    facts, settings = (data[key] if isinstance(data.get(key), dict) else {} for key in ("facts", "settings"))
    ladder = data.get("ladder") if isinstance(data.get("ladder"), list) else []
    reader = ConditionReader(document, settings=settings, facts=facts, ladder=ladder or [], problems=problems)
    for name, condition in facts.items():
        reader.read(condition, ("facts", name))
    for section in ("stages", "statuses", "values", "tasks", "cadences", "actions"):
        entries = data.get(section)
        for number, entry in enumerate(entries if isinstance(entries, list) else []):
            for key in ("when", "while"):
                if isinstance(entry, dict) and key in entry:
                    reader.read(entry[key], (section, number, key))


class _Checker:
    """Checks what the shape cannot say; one use per document."""

    def __init__(self, document: Document, file: PackFile, problems: list[Problem]) -> None:
        self.document = document
        self.file = file
        self.problems = problems
        self.reader = ConditionReader(
            document, settings=file.settings, facts=file.facts, ladder=file.ladder, problems=problems
        )

    def pack(self) -> Pack:
        self._check_names()
        facts = self._ordered({name: self.reader.read(data, ("facts", name)) for name, data in self.file.facts.items()})
        pack = Pack(
            name=self.file.pack,
            description=self.file.description,
            file=self.document.file,
            hash=sha256(orjson.dumps(self.document.data)).hexdigest(),
            ladder=tuple(self.file.ladder),
            settings=self.file.settings,
            facts=facts,
            stages=self._stages(),
            statuses=self._statuses(),
            values=self._values(),
            tasks=self._tasks(),
            cadences=self._cadences(),
            actions=self._actions(),
        )
        self._check_entered(pack)
        self._warn_of_the_unreachable(pack)
        self._warn_of_unused_facts(pack)
        return pack

    # --- names and ids ------------------------------------------------------------------------------------------------

    def _check_names(self) -> None:
        for name in self.file.facts:
            if name in RESERVED:
                self._report(("facts", name), "reserved-name", f"{name!r} has a meaning of its own", "rename the fact")
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
                self._report(path, f"duplicate-{what}", found, "give one of them another name")
            first.setdefault(name, path)

    def _ordered(self, facts: Mapping[str, Condition]) -> dict[str, Condition]:
        needs = {
            name: {leaf.fact for leaf in leaves(condition) if isinstance(leaf, FactTest)}
            for name, condition in facts.items()
        }
        try:
            order = list(TopologicalSorter(needs).static_order())
        except CycleError as error:
            circle = list(reversed(error.args[1]))
            found = f"facts build on each other in a circle: {' → '.join(circle)}"
            self._report(("facts", circle[0]), "circular-facts", found, "break the circle", at_key=True)
            return dict(facts)
        return {name: facts[name] for name in order}

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
                    self.problems.append(Problem(place=leaf.place, code="entered-in-stages", found=found, cure=cure))

    # --- warnings -----------------------------------------------------------------------------------------------------

    def _warn_of_the_unreachable(self, pack: Pack) -> None:
        catch_all = None
        for rule in pack.stages:
            if catch_all is not None:
                found = f"{rule.id!r} stands after {catch_all!r}, which always applies, and can never win"
                self._warn(rule.place, "unreachable-rule", found, "move it up, or remove it")
            elif rule.when == ALWAYS_YES:
                catch_all = rule.id

    def _warn_of_unused_facts(self, pack: Pack) -> None:
        tests = (leaf for condition in pack.conditions() for leaf in leaves(condition))
        used = {leaf.fact for leaf in tests if isinstance(leaf, FactTest)}
        for name in self.file.facts:
            if name not in used:
                place = self.document.place(("facts", name))
                self._warn(place, "unused-fact", f"no rule uses the fact {name!r}", "it still shows in explanations")

    def _warn(self, place: Any, code: str, found: str, cure: str) -> None:
        self.problems.append(Problem(place=place, code=code, found=found, cure=cure, severity="warning"))

    # --- sections -----------------------------------------------------------------------------------------------------

    def _stages(self) -> tuple[StageRule, ...]:
        rules = []
        for number, entry in enumerate(self.file.stages):
            path: Path_ = ("stages", number)
            if entry.stage is not None:
                self._check_stage(entry.stage, (*path, "stage"))
            when = self._when(entry, path)
            place = self.document.value_place(path)
            rules.append(
                StageRule(id=entry.id, when=when, stage=entry.stage, because=entry.because.strip(), place=place)
            )
        return tuple(rules)

    def _statuses(self) -> tuple[StatusRule, ...]:
        rules = []
        for number, entry in enumerate(self.file.statuses):
            path: Path_ = ("statuses", number)
            stages = [entry.of] if isinstance(entry.of, str) else entry.of
            for stage in stages or ():
                self._check_stage(stage, (*path, "of"))
            rules.append(
                StatusRule(
                    id=entry.id, when=self._when(entry, path), of=frozenset(stages) if stages else None,
                    status=entry.status, because=entry.because.strip(), place=self.document.value_place(path),
                )
            )
        return tuple(rules)

    def _values(self) -> tuple[ValueRule, ...]:
        rules = []
        for number, entry in enumerate(self.file.values):
            path: Path_ = ("values", number)
            self._check_written(entry.set, (*path, "set"))
            place = self.document.value_place(path)
            id_ = entry.id or f"value-{number + 1}"
            rules.append(ValueRule(id=id_, when=self._when(entry, path), set=dict(entry.set), place=place))
        return tuple(rules)

    def _tasks(self) -> tuple[TaskRule, ...]:
        rules = []
        for number, entry in enumerate(self.file.tasks):
            path: Path_ = ("tasks", number)
            self._check_texts(entry, path)
            place = self.document.value_place(path)
            due = self._due(entry.due, (*path, "due"))
            rules.append(TaskRule(id=entry.id, when=self._when(entry, path), body=entry, due=due, place=place))
        return tuple(rules)

    def _cadences(self) -> tuple[CadenceRule, ...]:
        rules = []
        for number, entry in enumerate(self.file.cadences):
            path: Path_ = ("cadences", number)
            self._check_texts(entry.task, (*path, "task"))
            afterwards = dict(entry.afterwards.set) if entry.afterwards else {}
            self._check_written(afterwards, (*path, "afterwards", "set"))
            rules.append(
                CadenceRule(
                    id=entry.id, when=self.reader.read(entry.while_, (*path, "while")), body=entry.task,
                    due=self._due(entry.task.due, (*path, "task", "due")), every=self._every(entry.every, path),
                    at_most=self._at_most(entry.at_most, (*path, "at_most")), afterwards=afterwards,
                    place=self.document.value_place(path),
                )
            )
        return tuple(rules)

    def _actions(self) -> tuple[ActionRule, ...]:
        rules = []
        for number, entry in enumerate(self.file.actions):
            path: Path_ = ("actions", number)
            if (entry.create_deal is None) == (not entry.do):
                self._report(path, "wrong-action", f"the action {entry.id!r} does nothing, or two things at once",
                             "write either `create_deal: {…}` or `do: [unsubscribe, erase]`")  # fmt: skip
            if entry.create_deal:
                self._check_template(entry.create_deal.name, (*path, "create_deal", "name"))
            rules.append(
                ActionRule(
                    id=entry.id, when=self._when(entry, path), create_deal=entry.create_deal,
                    do=tuple(entry.do or ()), place=self.document.value_place(path),
                )
            )
        return tuple(rules)

    # --- parts of entries ---------------------------------------------------------------------------------------------

    def _when(self, entry: Any, path: Path_) -> Condition:
        if "when" not in entry.model_fields_set:
            return ALWAYS_YES
        return self.reader.read(entry.when, (*path, "when"))

    def _check_stage(self, stage: str, path: Path_) -> None:
        if stage not in self.file.ladder:
            cure = nearest(stage, self.file.ladder)
            self._report(path, "unknown-stage", f"{stage!r} is not on the ladder", cure)

    def _check_written(self, changes: Mapping[str, str], path: Path_) -> None:
        for name in changes:
            if name in ("lifecyclestage", "sk_reason", "sk_rule", "sk_decided_at"):
                found = f"{name!r} is written by Stagekeeper itself"
                self._report((*path, name), "own-property", found, "let `stages` decide it", at_key=True)

    def _check_texts(self, body: TaskBody, path: Path_) -> None:
        self._check_template(body.title, (*path, "title"))
        self._check_template(body.notes, (*path, "notes"))
        if body.owner not in ("contact_owner", "default") and "@" not in body.owner:
            self._report((*path, "owner"), "unknown-owner", f"found {body.owner!r}",
                         "write contact_owner, default, or the e-mail address of a HubSpot user")  # fmt: skip

    def _check_template(self, text: str, path: Path_) -> None:
        if said := syntax_error(text):
            self._report(path, "bad-template", f"not a template: {said}", "write fields as `{{ contact.firstname }}`")

    def _due(self, text: str, path: Path_) -> Due:
        number, _, unit = text.strip().partition(" ")
        if unit.strip() in ("business day", "business days") and number.isdecimal() and len(number) <= 4:
            return Due(business_days=int(number))
        return Due(duration=self._read(lambda: as_duration(text, self.file.settings), path, 0))

    def _every(self, text: str, path: Path_) -> int:
        every: int = self._read(lambda: as_duration(text, self.file.settings), (*path, "every"), 1)
        if every < 1:
            self._report((*path, "every"), "unreadable-duration", "a cadence needs time between its tasks")
        return every

    def _at_most(self, cap: int | str | None, path: Path_) -> int | None:
        if cap is None:
            return None
        number = self._read(lambda: resolved(cap, self.file.settings), path, 1)
        if isinstance(number, int) and not isinstance(number, bool) and number >= 1:
            return number
        self._report(path, "wrong-value", f"found {shown(number)}", "write a whole number from 1 on")
        return 1

    def _read(self, read: Callable[[], Any], path: Path_, default: Any) -> Any:
        try:
            return read()
        except OperandError as error:
            place = self.document.value_place(path)
            expected = f"expected {error.expected}" if error.expected else ""
            self.problems.append(
                Problem(place=place, code=error.code, found=error.found, expected=expected, cure=error.cure)
            )
            return default

    def _report(self, path: Path_, code: str, found: str, cure: str = "", *, at_key: bool = False) -> None:
        place = self.document.place(path) if at_key else self.document.value_place(path)
        self.problems.append(Problem(place=place, code=code, found=found, cure=cure))


def _is_entered(leaf: object) -> bool:
    return isinstance(leaf, StateTest) and leaf.kind == "entered"


def _tests_entered(condition: Condition) -> bool:
    return any(_is_entered(leaf) for leaf in leaves(condition))
