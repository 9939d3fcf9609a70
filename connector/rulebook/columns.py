"""The conditions of a pack by the property that they test, and the answers that one subject gets from all of them.

What a value answers is worked out once and remembered, bounded: most values of a portal come again and again. A row
that has been read is judged at as many moments as is wanted without being read again.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Protocol

from connector.rulebook.conditions import DealsTest, PropertyTest, tested_properties
from connector.rulebook.courses import ALWAYS, UNREAD, WORDS, Course
from connector.rulebook.pack import Derived

Properties = Mapping[str, str | None]
REMEMBERED = 50_000
_UNREAD = ALWAYS[UNREAD]


class Subject(Protocol):
    """What is judged: a contact's properties, its primary company's ({}: none), its deals'; None: not read."""

    @property
    def properties(self) -> Properties: ...
    @property
    def company(self) -> Properties | None: ...
    @property
    def deals(self) -> tuple[Properties, ...] | None: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """The answer to one condition: what was wanted, what was there, where it came from, when the answer will change."""

    text: str
    wanted: str
    actual: str | None
    result: str
    source: str
    changes_at: int | None


class Cell:
    """What one value answers to every test of its property; `timed`: some of the answers depend on the moment."""

    __slots__ = ("_courses", "_source", "_tests", "_value", "answers", "constant", "timed")

    def __init__(self, tests: tuple[PropertyTest, ...], courses: tuple[Course, ...], value: str | None, source: str):
        self._tests = tests
        self._courses = courses
        self._value = value
        self._source = source
        self.constant: tuple[Finding, ...] | None = None
        """The findings, once they have been asked for and unless they depend on the moment."""
        self.timed = any(course.changes for course in courses)
        self.answers = bytes(course.answers[0] for course in courses)

    def at(self, now: int) -> bytes:
        """Give the answers at this moment."""
        return bytes([course.at(now) for course in self._courses]) if self.timed else self.answers

    def changes(self, now: int) -> Iterable[int]:
        """Give the moments after now at which each answer changes next, of those that do."""
        return [change for course in self._courses if (change := course.next_change(now)) is not None]

    def findings(self, now: int) -> tuple[Finding, ...]:
        """Give the answers with wanted and actual."""
        found = tuple(
            Finding(
                text=test.text, wanted=test.test.wanted, actual=self._value, result=WORDS[course.at(now)],
                source=self._source, changes_at=course.next_change(now),
            )
            for test, course in zip(self._tests, self._courses, strict=True)
        )  # fmt: skip
        if not self.timed:
            self.constant = found
        return found


class _Column:
    """One property with all tests on it, remembering a cell per value."""

    def __init__(self, of: str, name: str, tests: Sequence[PropertyTest]) -> None:
        self.of = of
        self.name = name
        self.cells: dict[str | None, Cell] = {}
        self._tests = tuple(tests)
        self.unread = Cell(self._tests, (_UNREAD,) * len(self._tests), None, f"{of} (not read)")

    def cell(self, value: str | None) -> Cell:
        """Make the cell of a value that is not remembered."""
        cell = self.cell_from(value, f"{self.of}.{self.name}")
        if len(self.cells) >= REMEMBERED:
            self.cells.clear()
        self.cells[value] = cell
        return cell

    def cell_from(self, value: str | None, source: str) -> Cell:
        """Make a cell whose value comes from somewhere else than the property itself."""
        return Cell(self._tests, tuple(test.course(value) for test in self._tests), value, source)


class Row:
    """What every condition answers about one subject, over time."""

    __slots__ = ("_cells", "_deals", "_last", "_timed", "subject")

    def __init__(self, subject: Subject, cells: list[Cell], deals: list[tuple[DealsTest, Course]]) -> None:
        self.subject = subject
        self._cells = cells
        self._deals = deals
        self._timed = [cell for cell in cells if cell.timed]
        self._last: tuple[int, tuple[bytes, int | None]] = (-1, (b"", None))

    def at(self, now: int) -> tuple[bytes, int | None]:
        """Give the answers at a moment, and when one of them next changes by itself."""
        if self._last[0] != now:  # a decision asks for the same moment twice
            self._last = (now, self._at(now))
        return self._last[1]

    def _at(self, now: int) -> tuple[bytes, int | None]:
        deals = self._deals
        if not self._timed and not deals:
            return b"".join([cell.answers for cell in self._cells]), None
        answers = b"".join([cell.at(now) if cell.timed else cell.answers for cell in self._cells])
        changes = list(chain.from_iterable(cell.changes(now) for cell in self._timed))
        changes += [change for _, course in deals if (change := course.next_change(now)) is not None]
        return answers + bytes([course.at(now) for _, course in deals]), min(changes, default=None)

    def findings(self, now: int) -> list[Finding]:
        """Give the answer to every condition on a property or a deal, with wanted and actual."""
        found = list(chain.from_iterable([cell.constant or cell.findings(now) for cell in self._cells]))
        if self._deals:
            found += [self._deals_finding(test, course, now) for test, course in self._deals]
        return found

    def _deals_finding(self, test: DealsTest, course: Course, now: int) -> Finding:
        deals = self.subject.deals
        rows = []
        if deals:
            names = sorted({tested.property for tested in tested_properties(test.condition)})
            rows = [", ".join(f"{name} {deal.get(name) or '(empty)'}" for name in names) for deal in deals]
        return Finding(
            text=test.text, wanted=test.text, actual="; ".join(rows) or None, result=WORDS[course.at(now)],
            source="deals" if deals is not None else "deals (not read)", changes_at=course.next_change(now),
        )  # fmt: skip


class Columns:
    """All conditions of a pack, ready to be asked about a subject."""

    def __init__(
        self, tests: Iterable[PropertyTest], deals: Iterable[DealsTest], derived: Mapping[str, Derived]
    ) -> None:
        by_property: dict[tuple[str, str], list[PropertyTest]] = {}
        for test in tests:
            by_property.setdefault((test.object, test.property), []).append(test)
        columns = [_Column(of, name, column) for (of, name), column in by_property.items()]
        self._contact = [column for column in columns if column.of == "contact"]
        self._company = [column for column in columns if column.of != "contact"]
        self._deals = tuple(deals)
        self._derived = derived
        self._contact_shelf, self._company_shelf = _Shelf(self._contact), _Shelf(self._company)
        ordered = [by_property[column.of, column.name] for column in (*self._contact, *self._company)]
        self.order: tuple[PropertyTest | DealsTest, ...] = (*chain.from_iterable(ordered), *self._deals)
        """Which test each answer of a row belongs to."""

    def row(self, subject: Subject) -> Row:
        """Ask every condition about a subject."""
        cells = self._contact_shelf.cells(subject.properties)
        if self._derived:
            cells = [self._from_deals(column, cell, subject) for column, cell in zip(self._contact, cells, strict=True)]
        company, deals = subject.company, subject.deals
        if company is None:
            cells += [column.unread for column in self._company]
        else:
            cells += self._company_shelf.cells(company)
        asked = [(test, _UNREAD if deals is None else test.course(deals)) for test in self._deals]
        return Row(subject, cells, asked)

    def _from_deals(self, column: _Column, own: Cell, subject: Subject) -> Cell:
        """Take a property from the deals where the pack says so and the contact itself has no value."""
        derived = self._derived.get(column.name)
        value = subject.properties.get(column.name)
        if derived is None or (value or "").strip():
            return own
        if subject.deals is None:
            return column.unread
        found = derived.value(value, subject.deals)
        return own if found == value else column.cell_from(found, f"deals, {derived.deal_property}")


class _Shelf:
    """The columns of one object; those whose property is left out of a row cost nothing."""

    def __init__(self, columns: Sequence[_Column]) -> None:
        self._empty = [column.cell(None) for column in columns]
        self._columns = [(column.name, column.cells, column) for column in columns]
        self._places = {name: (place, cells, column) for place, (name, cells, column) in enumerate(self._columns)}

    def cells(self, properties: Properties) -> list[Cell]:
        """Give the cell of each column for these properties, going through whichever are fewer."""
        if len(properties) >= len(self._columns):
            get = properties.get
            return [known.get(value := get(name)) or column.cell(value) for name, known, column in self._columns]
        cells, places = self._empty.copy(), self._places
        for name, value in properties.items():
            if value is not None and (found := places.get(name)) is not None:
                place, known, column = found
                cells[place] = known.get(value) or column.cell(value)
        return cells
