"""YAML files as data that remembers where everything stands; every fault of a file is reported in one run.

The YAML is version 1.2 (`yes`, `no`, `on` and dates are text). Keys that stand twice, tags, several documents and
files that unfold without end are refused. What is read here is plain data; what it means is decided elsewhere.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.composer import Composer
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from connector.problems import Place, Problem

Path_ = tuple[str | int, ...]
"""How to get to a value from the top of a file: keys and list positions."""

MAX_BYTES = 1_048_576
_MAX_VALUES = 100_000
_MAX_DEPTH = 60
_MOST_NODES = 60_000  # the largest pack that is shipped has a fiftieth of that
_MOST_PROBLEMS = 1_000
_LONGEST_LINE = 20_000
_YAML_ORG = "tag:yaml.org,2002:"
_PLAIN = frozenset({"str", "timestamp", "merge", "value", "null", "bool", "int", "float"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """A file's data with the place of every key and value."""

    file: str
    data: Any
    keys: Mapping[Path_, Place]
    values: Mapping[Path_, Place]

    def place(self, path: Path_) -> Place:
        """Give the place of the key at this path, or of the nearest thing above it that is there."""
        for length in range(len(path), 0, -1):
            found = self.keys.get(path[:length]) or self.values.get(path[:length])
            if found:
                return found
        return self.values.get((), Place(file=self.file))

    def value_place(self, path: Path_) -> Place:
        """Give the place of the value at this path, or of the nearest thing above it that is there."""
        return self.values.get(path) or self.place(path)


def read_file(path: Path, *, shown_as: str | None = None) -> tuple[Document | None, list[Problem]]:
    """Read a YAML file; no document when it is not there or not YAML."""
    file = shown_as or str(path)
    raw, problems = read_raw(path, file=file)
    return (None, problems) if raw is None else read_bytes(raw, file=file)


def read_raw(path: Path, *, file: str) -> tuple[bytes | None, list[Problem]]:
    """Read what stands in a file, at least as much of it as shows that it is too large."""
    try:
        with path.open("rb") as stream:
            return stream.read(MAX_BYTES + 1), []
    except OSError as error:
        found = f"cannot be read ({error.strerror or error})"
        return None, [_problem(file, "file-unreadable", found, cure="check the path and its permissions")]


def read_bytes(raw: bytes, *, file: str) -> tuple[Document | None, list[Problem]]:
    """Read YAML from bytes, with the same answers as `read_file`."""
    if len(raw) > MAX_BYTES:
        return None, [_problem(file, "file-too-large", "the file is larger than 1 MiB", cure="split the file")]
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        place = Place(file=file, line=line)
        return None, [Problem(place=place, code="not-utf-8", found="the file is not UTF-8", cure="save it as UTF-8")]
    if line := next((number for number, line in enumerate(text.split("\n"), 1) if len(line) > _LONGEST_LINE), 0):
        found = f"a line of more than {_LONGEST_LINE:,} characters"
        return None, [Problem(place=Place(file=file, line=line), code="too-much", found=found, cure="break it")]
    try:
        node = _yaml().compose(text)
    except _TooMuch:
        return None, [_problem(file, "too-much", f"the file holds more than {_MOST_NODES:,} values", "split the file")]
    except MarkedYAMLError as error:
        return None, [_syntax_problem(file, error)]
    except (YAMLError, ValueError, RecursionError) as error:
        found = "nested too deeply" if isinstance(error, RecursionError) else f"not YAML ({_first_line(error)})"
        return None, [_problem(file, "yaml-syntax", found, cure="close every `[` and `{`, and save it as plain text")]
    if node is None:
        return None, [_problem(file, "empty-file", "the file is empty", cure="`stagekeeper init` writes examples")]
    return _Reader(file).read(node)


class _TooMuch(Exception):
    """A file of more values than anybody writes; read no further, because that takes time."""


class _Composer(Composer):
    """Counts what it reads."""

    composed = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Read a node, unless there have been too many."""
        self.composed += 1
        if self.composed > _MOST_NODES:
            raise _TooMuch
        return super().compose_node(parent, index)


def _yaml() -> YAML:
    """Make a parser of YAML 1.2; an anchor that is given anew means the later thing, without a warning."""
    parser = YAML(typ="rt", pure=True)
    parser.Composer = _Composer
    parser.composer.warn_double_anchors = False
    return parser


def _syntax_problem(file: str, error: MarkedYAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark
    place = Place(file=file, line=mark.line + 1, column=mark.column + 1) if mark else Place(file=file)
    said = error.problem or error.context or "not YAML"
    if said.startswith("but "):
        said = f"{error.context}, {said}"
    if said.startswith("found undefined alias"):
        said = "found an alias that no anchor defines"  # its name is not shown: it may be a secret that begins with `*`
    cure = "quote texts that hold `: `, `#`, `{`, `*` or `%`, and indent with spaces"
    return Problem(place=place, code="yaml-syntax", found=str(said).strip(), cure=cure)


def _problem(file: str, code: str, found: str, cure: str = "") -> Problem:
    return Problem(place=Place(file=file), code=code, found=found, cure=cure)


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


class _Reader:
    """Turns ruamel's nodes into plain data, keeping the places; one use per file."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.keys: dict[Path_, Place] = {}
        self.values: dict[Path_, Place] = {}
        self.problems: list[Problem] = []
        self.count = 0

    def read(self, node: Node) -> tuple[Document | None, list[Problem]]:
        data = self._value(node, ())
        if any(problem.code == "too-much" for problem in self.problems):
            return None, self.problems
        return Document(file=self.file, data=data, keys=self.keys, values=self.values), self.problems

    def _value(self, node: Node, path: Path_) -> Any:
        self.values[path] = self._place(node)
        self.count += 1
        if self.count > _MAX_VALUES or len(path) > _MAX_DEPTH:
            if not any(problem.code == "too-much" for problem in self.problems):
                found = "the file unfolds without end (an alias inside itself, or too deep)"
                self._report(node, "too-much", found, "write out what the aliases stand for")
            return None
        if isinstance(node, ScalarNode):
            return self._scalar(node)
        if node.tag not in (f"{_YAML_ORG}map", f"{_YAML_ORG}seq"):
            self._unsafe(node)
        if isinstance(node, MappingNode):
            return self._mapping(node, path)
        items = node.value if isinstance(node, SequenceNode) else []
        return [self._value(item, (*path, number)) for number, item in enumerate(items)]

    def _mapping(self, node: MappingNode, path: Path_) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, ScalarNode):
                self._report(key_node, "wrong-key", "a key must be a plain word", "quote texts that begin with `{`")
                continue
            key = str(key_node.value)
            here = (*path, key)
            self._check_text(key_node)
            if str(key_node.tag).removeprefix(_YAML_ORG) not in _PLAIN:
                self._unsafe(key_node)
            if key in data:
                first = self.keys[here]
                found = f"{key!r} stands twice; the first is at {first.line}:{first.column}"
                self._report(key_node, "duplicate-key", found, "remove one of them")
                continue
            self.keys[here] = self._place(key_node)
            data[key] = self._value(value_node, here)
        return data

    def _scalar(self, node: ScalarNode) -> Any:
        # Where a folded text was broken, the parser leaves a mark (BEL) for whoever writes it back.
        text: str = node.value.replace("\a", "") if node.style == ">" else node.value
        self._check_text(node)
        match str(node.tag).removeprefix(_YAML_ORG):
            case "str" | "timestamp" | "merge" | "value":
                return text
            case "null":
                return None
            case "bool":  # `%YAML 1.1` and `!!bool` would make `yes` and `on` one; here they are text
                return text.lower() == "true" if text.lower() in ("true", "false") else text
            case "int" | "float" as kind:
                return self._number(text, kind)
        self._unsafe(node)
        return text

    def _number(self, text: str, kind: str) -> int | float | str:
        if "_" in text:
            return text  # YAML 1.1 only; in 1.2 `12_34` is text
        try:
            if kind == "float":
                return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
            return int(text, 0) if text.lstrip("+-")[:2].lower() in ("0x", "0o", "0b") else int(text)
        except ValueError:
            return text

    def _check_text(self, node: ScalarNode) -> None:
        """Refuse halves of characters, which an escape such as `\\ud800` makes: no file or service takes them."""
        if any("\ud800" <= letter <= "\udfff" for letter in node.value):
            self._report(node, "broken-text", "an escape stands for half a character", "write the character itself")

    def _unsafe(self, node: Node) -> None:
        name = f" {node.tag!s}" if str(node.tag).startswith(_YAML_ORG) else ""  # another may be a secret that begins so
        found = f"the tag{name} is not taken"
        self._report(node, "unsafe-tag", found, "write the plain value")

    def _report(self, node: Node, code: str, found: str, cure: str = "") -> None:
        if len(self.problems) < _MOST_PROBLEMS or code == "too-much":
            self.problems.append(Problem(place=self._place(node), code=code, found=found, cure=cure))

    def _place(self, node: Node) -> Place:
        mark = node.start_mark
        return Place(file=self.file, line=mark.line + 1, column=mark.column + 1)


def walk(data: Any, path: Path_ = ()) -> Iterator[tuple[Path_, Any]]:
    """Give every value of a document with its path, from the top down."""
    yield path, data
    if isinstance(data, Mapping):
        for key, value in data.items():
            yield from walk(value, (*path, key))
    elif isinstance(data, list):
        for number, value in enumerate(data):
            yield from walk(value, (*path, number))
