"""The README as a test sees it: its fenced blocks with the chapter that each stands in, and its tables."""

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TOP = Path(__file__).parent.parent
README = TOP / "README.md"
SESSION = "Change a rule, and see what it does first"
_FENCE = re.compile(r"^( *)```(\S*)\s*$")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block."""

    line: int
    kind: str
    chapter: str
    text: str

    def __str__(self) -> str:
        return f"line {self.line} ({self.kind})"


def text() -> str:
    return README.read_text(encoding="utf-8")


def blocks() -> list[Block]:
    """List the fenced blocks, each without the indentation of the list that it stands in."""
    return [*_blocks()]


def _blocks() -> Iterator[Block]:
    chapter, began, kind, held = "", 0, "", list[str]()
    for number, line in enumerate(text().splitlines(), 1):
        fence = _FENCE.match(line)
        if fence and not began:
            began, kind = number, fence[2]
        elif fence:
            yield Block(began, kind, chapter, textwrap.dedent("\n".join(held)) + "\n")
            began, held = 0, []
        elif began:
            held.append(line)
        elif line.startswith("## "):
            chapter = line[3:]
    assert not began, f"the block of line {began} has no end"


def prose() -> str:
    """Give everything that stands in no block."""
    outside, inside = [], False
    for line in text().splitlines():
        inside ^= bool(_FENCE.match(line))
        outside += [] if inside or _FENCE.match(line) else [line]
    return "\n".join(outside)


def commands_in_prose(program: str) -> list[str]:
    """List the commands of a program that stand in the prose and can be typed as they are."""
    spans = re.findall(rf"`({program} [^`]+)`", prose().replace("\n", " "))
    found = dict.fromkeys(" ".join(span.split()) for span in spans)
    return [span for span in found if not re.search(r"[|…]|\[[A-Z]", span)]


def chapter(name: str) -> str:
    """Give a chapter or a section."""
    found = re.search(rf"^(#+) {re.escape(name)}\n(.*?)(?=^#{{2,3}} |\Z)", text(), re.MULTILINE | re.DOTALL)
    assert found is not None, name
    return found[2]
