"""The log as the code writes it, found in the source, and as deploy/LOGS.md describes it."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import connector

LOGS = Path(__file__).parents[1] / "deploy" / "LOGS.md"
_METHODS = frozenset({"debug", "info", "warning", "error", "exception", "critical"})
_NAME = re.compile(r"[a-z_]+\.[a-z_]+")


@dataclass(frozen=True, slots=True)
class Line:
    """One place that logs: the names that it may use, its fields as far as they stand there."""

    place: str
    names: tuple[str, ...]
    fields: tuple[str, ...]


def logged() -> list[Line]:
    """Find every call of a logger."""
    root = Path(connector.__file__).parent
    paths = [path for path in sorted(root.rglob("*.py")) if path.parent.name != "cli"]  # which speaks to people
    return [line for path in paths for line in _lines(path)]


def _lines(path: Path) -> Iterator[Line]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and node.args and _is_logging(node):
            fields = tuple(keyword.arg for keyword in node.keywords if keyword.arg is not None)
            yield Line(f"{path.name}:{node.lineno}", tuple(_names(node.args[0])), fields)


def _is_logging(node: ast.Call) -> bool:
    """Ask whether it calls a method of `_log`, or `tell`, by which a method is chosen at run time."""
    called = node.func
    if isinstance(called, ast.Attribute):
        return called.attr in _METHODS and ast.unparse(called.value) == "_log"
    return isinstance(called, ast.Name) and called.id == "tell" and bool([*_names(node.args[0])])


def _names(first: ast.expr) -> Iterator[str]:
    if isinstance(first, ast.IfExp):
        yield from (*_names(first.body), *_names(first.orelse))
    elif isinstance(first, ast.Constant) and _NAME.fullmatch(str(first.value)):
        yield str(first.value)
    elif isinstance(first, ast.JoinedStr):
        name = "".join(str(part.value) if isinstance(part, ast.Constant) else "*" for part in first.values)
        if _NAME.fullmatch(name.replace("*", "x")):
            yield name


def documented() -> list[str]:
    """List the events of the table."""
    return re.findall(r"^\| `([a-z_]+\.[a-z_]+)` \|", LOGS.read_text(encoding="utf-8"), re.MULTILINE)


def queries() -> list[str]:
    """List the queries of the page, each a line of shell, with what they need before them."""
    blocks = re.findall(r"```sh\n(.*?)```", LOGS.read_text(encoding="utf-8"), re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.strip()]
