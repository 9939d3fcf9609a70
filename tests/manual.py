"""The manual for rule authors as data: its headings, links, YAML blocks with their marks, and tables of answers.

A block says by the HTML comment above it what it is:

    (none)                            a whole pack, or a whole case file
    <!-- fragment -->                 keys of a pack, put into the pack of the first chapter
    <!-- fragment: facts -->          what stands under `facts` of such a pack
    <!-- portal -->                   keys of a portal in the configuration
    <!-- problem: unknown-fact -->    a pack, a case file or a configuration with this problem
    <!-- problem: unknown-fact, facts -->   likewise for what stands under `facts` (or `fragment`, or `portal`)
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from connector.rulebook.reading import read_bytes

MANUAL = Path(__file__).parent.parent / "rules" / "README.md"
FIRST_PACK = "first"
_MARK = re.compile(r"<!--\s*(fragment|portal|problem)(?::\s*([a-z0-9-]+))?(?:,\s*([a-z]+))?\s*-->")
_LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")

Row = tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """A table: the text of its cells, backticks taken off."""

    line: int
    heading: str
    head: Row
    rows: tuple[Row, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """A fenced block under its heading; `answers` is the table right below it, if there is one."""

    line: int
    heading: str
    language: str
    text: str
    kind: str
    code: str | None
    section: str | None
    answers: Table | None = None

    @property
    def name(self) -> str:
        """Name the block in the list of tests."""
        return f"line {self.line}: {self.heading}"

    @property
    def is_cases(self) -> bool:
        """Ask whether this is a case file."""
        return re.search(r"^cases:", self.text, re.MULTILINE) is not None

    @property
    def is_config(self) -> bool:
        """Ask whether this is a whole configuration."""
        return re.search(r"^portals:", self.text, re.MULTILINE) is not None

    @property
    def data(self) -> Any:
        """Give the block's data; raises ValueError when it is not plain YAML."""
        document, problems = read_bytes(self.text.encode(), file=f"README.md block at {self.line}")
        if document is None or problems:
            raise ValueError("\n".join(map(str, problems)))
        return document.data


@dataclass(frozen=True, kw_only=True, slots=True)
class Manual:
    """All of the manual that tests look at."""

    headings: tuple[tuple[int, str], ...]
    links: tuple[tuple[int, str], ...]
    blocks: tuple[Block, ...]
    tables: tuple[Table, ...]
    text: str

    def under(self, chapter: str) -> list[str]:
        """Give the headings of the third level under one of the second."""
        found, inside = [], False
        for level, heading in self.headings:
            if level <= 2:
                inside = heading == chapter
            elif inside and level == 3:
                found.append(heading)
        return found

    def packs(self) -> dict[str, str]:
        """Give the whole packs by name."""
        whole = (block for block in self.blocks if block.language == "yaml" and block.kind == "whole")
        return {block.data["pack"]: block.text for block in whole if not block.is_cases and not block.is_config}

    def before(self, block: Block) -> str | None:
        """Give the pack made of the last fragment above a block."""
        above = [each for each in self.blocks if each.kind == "fragment" and each.line < block.line]
        return self.composed(above[-1]) if above else None

    def composed(self, block: Block) -> str:
        """Put a fragment into the first pack: new entries above the old ones, other keys in their place."""
        document, _ = read_bytes(self.packs()[FIRST_PACK].encode(), file="first.yaml")
        assert document is not None
        base: dict[str, Any] = document.data
        new = block.data if block.section in (None, "fragment") else {block.section: block.data}
        for key, value in new.items():
            old = base.get(key)
            if isinstance(value, list) and isinstance(old, list) and key != "ladder":
                base[key] = value + old
            elif isinstance(value, dict) and isinstance(old, dict):
                base[key] = {**old, **value}
            else:
                base[key] = value
        return json.dumps({**base, "pack": "my-pack"}, ensure_ascii=False)


def anchor(heading: str) -> str:
    """Give the anchor of a heading as GitHub makes it."""
    plain = re.sub(r"[^\w\- ]", "", heading.strip().lower())
    return plain.replace(" ", "-")


def read_manual(path: Path = MANUAL) -> Manual:
    """Read the manual."""
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    parts = list(_parts(lines))
    return Manual(
        headings=tuple(part for part in parts if isinstance(part, tuple)),
        links=tuple((number, link) for number, line in _prose(lines) for link in _LINK.findall(line)),
        blocks=tuple(part for part in parts if isinstance(part, Block)),
        tables=tuple(part for part in parts if isinstance(part, Table)),
        text=text,
    )


def _prose(lines: list[str]) -> Iterator[tuple[int, str]]:
    inside = False
    for number, line in enumerate(lines, start=1):
        if line.startswith("```"):
            inside = not inside
        elif not inside:
            yield number, line


def _parts(lines: list[str]) -> Iterator[tuple[int, str] | Block | Table]:
    heading, mark, number = "", None, 0
    while number < len(lines):
        line = lines[number]
        number += 1
        if line.startswith("#"):
            heading = line.lstrip("#").strip().strip("`")
            yield line.index(" "), heading
        elif found := _MARK.fullmatch(line.strip()):
            mark = found
        elif line.startswith("```"):
            end = lines.index("```", number)
            kind, code, section = _said(mark)
            yield Block(
                line=number, heading=heading, language=line[3:].strip(), text="\n".join(lines[number:end]) + "\n",
                kind=kind, code=code, section=section, answers=_table_below(lines, end + 1, heading),
            )  # fmt: skip
            number, mark = end + 1, None
        elif line.startswith("|"):
            table = _table_below(lines, number - 1, heading)
            assert table is not None
            yield table
            number += len(table.rows) + 1


def _said(mark: re.Match[str] | None) -> tuple[str, str | None, str | None]:
    """Give kind, code and section of a mark."""
    if mark is None:
        return "whole", None, None
    kind, first, second = mark.groups()
    return (kind, first, second) if kind == "problem" else (kind, None, first)


def _table_below(lines: list[str], start: int, heading: str) -> Table | None:
    while start < len(lines) and not lines[start].strip():
        start += 1
    rows = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        rows.append(tuple(cell.strip().strip("`") for cell in line.strip().strip("|").split("|")))
    return Table(line=start + 1, heading=heading, head=rows[0], rows=tuple(rows[2:])) if len(rows) > 2 else None
