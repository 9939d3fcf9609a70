"""What is wrong with files: a list of problems, each with its place and its cure, all reported in one run.

What goes wrong while running is not here but in `errors.py`.
"""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Place:
    """Where in a file: line and column count from one."""

    file: str
    line: int = 1
    column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Problem:
    """One thing that is wrong with a file: where, what was found, what was expected, what to do."""

    place: Place
    code: str
    found: str
    expected: str = ""
    cure: str = ""
    severity: str = field(default="error")
    """`error` stops every start; `warning` does not."""

    def __str__(self) -> str:
        parts = [part for part in (self.found, self.expected, self.cure) if part]
        mark = "warning: " if self.severity == "warning" else ""
        return f"{self.place}: {self.code}: {mark}{'; '.join(parts)}"

    def as_json(self) -> dict[str, object]:
        """Give the same fields as data."""
        return {**asdict(self), "place": str(self.place), **asdict(self.place)}


def is_broken(problems: Iterable[Problem]) -> bool:
    """Ask whether any of the problems forbids a start."""
    return any(problem.severity == "error" for problem in problems)


def nearest(word: object, known: Iterable[str]) -> str:
    """Say which known word was probably meant, or list what there is (at most twelve)."""
    names: Sequence[str] = sorted(known)
    close = difflib.get_close_matches(str(word), names, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]!r}?"
    if not names:
        return ""
    shown = ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
    return f"there is: {shown}"
