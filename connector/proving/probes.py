"""Values to try on the tests of one property, so that every combination of answers that is possible comes about.

Texts are not modelled: what tests look for is put together in every way (beginnings, parts, endings, ticked boxes).
Where that is not all there is (regular expressions, numbers mixed with parts of texts, too many parts), it is said.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, combinations

from connector.properties import Form
from connector.proving.landmarks import Landmarks, as_day, as_moment, day_line, moment_line, moments_of, number_line
from connector.rulebook.operands import folded

Options = tuple[str, ...]
_MOST_PARTS = 9
"""More ticked boxes or parts than this are not tried in every combination."""
_MOST_TEXTS = 6_000
_STRANGERS = ("something else", "anything", "~")
_SEPARATORS = "~|^¦§"
_FAR = {"number": ("0", "1"), "date": ("2026-03-02",), "moment": ("2026-03-02T09:00:00Z",)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Probes:
    """Values to try, the plainest first: `likely` ones are such as the property may really hold."""

    likely: tuple[str | None, ...]
    others: tuple[str | None, ...]
    complete: bool
    """Whether every combination of answers that any value can give is given by one of these."""


def probes(found: Landmarks, now: int, *, form: Form | None, options: Options, strict: bool) -> Probes:
    """Collect the values to try; `strict`: the portal itself says what the property can hold."""
    anything = tuple(_anything(found, now))
    complete = _is_covered(found)
    match form:
        case "one of" | "several" if options:
            held = options if form == "one of" else tuple(_ticked(options, found))
            whole = form == "one of" or len(options) <= _MOST_PARTS
            others = () if strict else anything
            return Probes(likely=(None, *held), others=others, complete=whole if strict else complete)
        case "number":
            line = tuple(stretch.value for stretch in number_line(found.numbers))
            only = not found.is_timed and not found.has_parts and not found.literals
            return Probes(likely=(None, *(line or _FAR[form])), others=() if only or strict else anything,
                          complete=complete)  # fmt: skip
        case "date" | "moment":
            line = tuple(_times(found, now, days=form == "date"))
            only = not found.is_numeric and not found.has_parts and not found.literals
            held = tuple(_times(found, now, days=True)) if form == "moment" else ()  # midnight is read as a day
            others = held if only or strict else anything
            return Probes(likely=(None, *(line or _FAR[form])), others=others, complete=complete)
    likely = tuple(value for value in anything if not _is_junk(value, found))
    return Probes(likely=(None, *likely), others=anything, complete=complete)


def _is_junk(value: str, found: Landmarks) -> bool:
    """Ask whether a value is a word where only numbers or only moments are looked for."""
    return value in _STRANGERS and (found.is_numeric or found.is_timed) and not (found.literals or found.has_parts)


def _is_covered(found: Landmarks) -> bool:
    """Ask whether the values to try cover everything; see the head of this module."""
    kinds = [found.is_numeric, found.is_timed, found.has_parts]
    sets = any(";" in text for text in found.literals)
    ends = len(found.prefixes) + 1, len(found.suffixes) + 1
    size = ends[0] * ends[1] * 2 ** len(found.fragments)
    return (
        sum(kinds) <= 1
        and not found.patterns
        and not (sets and (found.prefixes or found.suffixes))
        and not any(";" in text for text in chain(found.fragments, found.prefixes, found.suffixes))
        and len(found.fragments) <= _MOST_PARTS
        and size <= _MOST_TEXTS
    )


def _anything(found: Landmarks, now: int) -> Iterator[str]:
    """Give values of every kind that the tests look for, and such as none of them does."""
    yield from found.literals
    for text in found.literals:
        if ";" in text:
            yield from (part for part in text.split(";") if part)
        else:
            yield f"{text};"
    yield from (stretch.value for stretch in number_line(found.numbers))
    yield from _times(found, now, days=True)
    yield from _times(found, now, days=False)
    yield from _texts(found)
    yield from _STRANGERS


def _times(found: Landmarks, now: int, *, days: bool) -> list[str]:
    """Give dates, or moments, from the middle of each stretch outwards: far ones read better than near misses."""
    marks = moments_of(found, now)
    line = day_line(marks) if days else moment_line(marks)
    plain = sorted(line, key=lambda each: (-min((abs(each - mark) for mark in marks), default=0), each))
    return [as_day(each) if days else as_moment(each) for each in plain]


def _texts(found: Landmarks) -> Iterator[str]:
    """Give texts with each beginning, each ending and each set of parts, as one text and as ticked boxes."""
    glue = _separator(found)
    parts = list(found.fragments)
    if found.patterns:
        parts += [part for pattern in found.patterns for part in _pieces(pattern)]
        yield from parts
    for inside in _subsets(parts):
        for start in ("", *found.prefixes):
            for end in ("", *found.suffixes):
                yield from _spelled(start, inside, end, glue)


def _spelled(start: str, inside: Sequence[str], end: str, glue: str) -> Iterator[str]:
    if inside and not start and not end:
        yield ";".join(inside) if len(inside) > 1 else inside[0]
        yield f"{';'.join(inside)};{glue}"
    pieces = [piece for piece in (start, *inside, end) if piece]
    if pieces:
        yield glue.join(pieces)
        yield glue.join(["" if start else glue, *pieces, "" if end else glue])
        yield f"{start}{glue};{';'.join(inside)};{glue}{end}"


def _subsets(parts: Sequence[str]) -> Iterable[tuple[str, ...]]:
    """Give all subsets, the small ones first; of many parts only the small and the large ones."""
    sizes = range(len(parts) + 1) if len(parts) <= _MOST_PARTS else (0, 1, 2, len(parts) - 1, len(parts))
    return chain.from_iterable(combinations(parts, size) for size in sizes)


def _ticked(options: Options, found: Landmarks) -> Iterator[str]:
    """Give sets of ticked boxes: all of those that the tests name, with and without one that they do not."""
    named = [*found.literals, *found.fragments]
    known = {folded(part) for text in named for part in text.split(";")}
    looked_for = [option for option in options if folded(option) in known]
    rest = [option for option in options if folded(option) not in known]
    if len(options) <= _MOST_PARTS:
        looked_for, rest = list(options), []
    for inside in _subsets(looked_for):
        for more in ((), rest[:1]) if rest else ((),):
            if inside or more:
                yield ";".join([*inside, *more])


def _separator(found: Landmarks) -> str:
    """Give a character that no test looks for, so that no part comes about by accident."""
    texts = chain(found.literals, found.prefixes, found.suffixes, found.fragments, found.patterns)
    used = set(chain.from_iterable(texts))
    return next((each for each in _SEPARATORS if each not in used), _SEPARATORS[0])


def _pieces(pattern: str) -> Iterator[str]:
    """Guess texts that a regular expression may find: its alternatives, bare of their marks."""
    for alternative in pattern.strip("()").split("|"):
        bare = alternative
        for mark in ("(?:", r"\b", r"\s*", r"\s+", r"\.", "^", "$", "(", ")", "?", "*", "+", "\\"):
            bare = bare.replace(mark, "." if mark == r"\." else " " if mark == r"\s+" else "")
        if bare:
            yield bare
