"""Value classes: all values of one property that answer all of its tests alike are one class, with a real value.

So a property is a choice between a few classes, and what the solver finds can be written down as a contact.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from connector.properties import Form
from connector.proving.landmarks import Landmarks, landmarks, presents
from connector.proving.probes import Options, probes
from connector.rulebook.conditions import DealsTest, PropertyTest, StageFor, leaves, tested_properties
from connector.rulebook.contradictions import Forms
from connector.rulebook.operands import folded
from connector.rulebook.pack import Derived, Pack

Key = tuple[str, str]
"""Object and property: ("contact", "sk_need")."""
_MOST_PRESENTS = 60


@dataclass(slots=True)
class ValueClass:
    """Values that answer alike; `values` gives one for each present moment (by its number) at which there is one."""

    answers: tuple[int, ...]
    marks: tuple[bool, ...]
    """Of a deal's property: which values of a derived contact property it stands for; of such one: whether it is empty.
    """
    values: dict[int, str | None] = field(default_factory=dict)
    likely: set[int] = field(default_factory=set)
    """At which present moments the value is such as the property may really hold."""

    @property
    def is_empty(self) -> bool:
        """Ask whether nothing at all answers like this."""
        return None in self.values.values()


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """One property with its tests and the classes of its values; the class of the empty value comes first."""

    key: Key
    tests: tuple[PropertyTest, ...]
    classes: tuple[ValueClass, ...]
    complete: bool
    """Whether there are no other combinations of answers."""
    landmarks: Landmarks
    form: Form | None
    derived: Derived | None
    """Of a deal's property, or of the contact property that is taken from it."""

    def place(self, value: str | None, now: int) -> int | None:
        """Give the number of the class of a value at a present moment."""
        wanted = _answers(self.tests, value, now), _marks(self.key, value, self.derived)
        return next((place for place, each in enumerate(self.classes) if (each.answers, each.marks) == wanted), None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Catalogue:
    """The columns of a pack, the present moments to judge at, and for how long a contact may have been in its stage."""

    columns: Mapping[Key, Column]
    presents: tuple[int, ...]
    complete: bool
    stays: tuple[int | None, ...]
    """None: not known; otherwise milliseconds."""


def catalogue(pack: Pack, *, now: int, forms: Forms, strict: bool) -> Catalogue:
    """Work out the value classes of everything that a pack tests."""
    tests = _tests(pack)
    marks = {key: landmarks((each.test for each in column), pack.settings) for key, column in tests.items()}
    moments, all_of_them = presents(marks.values(), now, _MOST_PRESENTS)
    columns = {}
    for key, column in tests.items():
        form, options = forms.get(key, (None, ()))
        columns[key] = _column(
            key, column, marks=marks[key], moments=moments, form=form, options=options, strict=strict,
            derived=_derived(pack, key), extra=_extra(pack, key),
        )  # fmt: skip
    return Catalogue(columns=columns, presents=tuple(moments), complete=all_of_them, stays=_stays(pack))


def _tests(pack: Pack) -> dict[Key, list[PropertyTest]]:
    found: dict[Key, dict[PropertyTest, None]] = {}
    for condition in pack.conditions():
        for test in tested_properties(condition):
            found.setdefault((test.object, test.property), {})[test] = None
    for name, derived in pack.derived.items():
        if ("contact", name) in found:
            found.setdefault(("deal", derived.deal_property), {})
    return {key: list(tests) for key, tests in found.items()}


def _extra(pack: Pack, key: Key) -> tuple[str, ...]:
    """Give values to try besides: those that the pack itself writes, or takes from deals."""
    of, name = key
    if of == "deal":
        known = [each for each in pack.derived.values() if each.deal_property == name]
        return tuple(sorted({value for each in known for _, names in each.values for value in names}))
    if of != "contact":
        return ()
    written = [rule.set[name] for rule in pack.values if name in rule.set]
    written += [rule.afterwards[name] for rule in pack.cadences if name in rule.afterwards]
    written += [value for value, _ in pack.derived[name].values] if name in pack.derived else []
    written += ["cold", "unverified", "new", "hot", "warm", "closed"] if name.endswith("_status") else []
    written += [rule.id for rule in pack.stages] if name == "sk_rule" else []
    return tuple(dict.fromkeys(value for value in written if value.strip()))


def _column(  # noqa: PLR0913 - everything that shapes the values of one property, all named
    key: Key, tests: Sequence[PropertyTest], *, marks: Landmarks, moments: Sequence[int], form: Form | None,
    options: Options, strict: bool, derived: Derived | None, extra: tuple[str, ...],
) -> Column:  # fmt: skip
    classes: dict[tuple[tuple[int, ...], tuple[bool, ...]], ValueClass] = {}
    complete = True

    def put(values: Iterable[str | None], present: int, *, likely: bool) -> None:
        now = moments[present]
        for value in values:
            both = _answers(tests, value, now), _marks(key, value, derived)
            found = classes.setdefault(both, ValueClass(*both))
            found.values.setdefault(present, value)
            if likely and present not in found.likely:
                found.likely.add(present)
                found.values[present] = value

    for present, now in enumerate(moments):
        tried = probes(marks, now, form=form, options=options, strict=strict)
        complete = complete and tried.complete
        put(tried.likely, present, likely=True)
        put(extra, present, likely=True)
        put(tried.others, present, likely=False)
    return Column(
        key=key, tests=tuple(tests), classes=tuple(classes.values()), complete=complete, landmarks=marks, form=form,
        derived=derived,
    )  # fmt: skip


def _answers(tests: Sequence[PropertyTest], value: str | None, now: int) -> tuple[int, ...]:
    return tuple(test.course(value).at(now) for test in tests)


def _marks(key: Key, value: str | None, derived: Derived | None) -> tuple[bool, ...]:
    if derived is None:
        return ()
    if key[0] == "contact":
        return (not (value or "").strip(),)
    return tuple(folded(value or "") in names for _, names in derived.values)


def _derived(pack: Pack, key: Key) -> Derived | None:
    if key[0] == "contact":
        return pack.derived.get(key[1])
    return next((each for each in pack.derived.values() if key == ("deal", each.deal_property)), None)


def _stays(pack: Pack) -> tuple[int | None, ...]:
    """Give stays on either side of every duration that a rule asks for."""
    tested = (leaf for condition in pack.conditions() for leaf in leaves(condition))
    marks = {leaf.duration for leaf in tested if isinstance(leaf, StageFor)}
    marks |= {pack.min_stay} if pack.min_stay else set()
    ages = sorted({0, *marks, *(mark - 1 for mark in marks if mark > 0)})
    return (None, *ages)


def deal_tests(pack: Pack) -> tuple[DealsTest, ...]:
    """Give the conditions on deals, each once."""
    found = (leaf for condition in pack.conditions() for leaf in leaves(condition))
    return tuple(dict.fromkeys(leaf for leaf in found if isinstance(leaf, DealsTest)))
