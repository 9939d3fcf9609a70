"""Texts of tasks and deals: a small part of Jinja, sandboxed, over the contact, its company, its deal and the facts.

Values from the CRM are data, never templates; a text that fails to render falls back to the rule's id, so that a
task is never lost to its title. A text shows and chooses, it does not compute: without loops, calls and arithmetic no
text can take long or grow large, neither when it is checked nor when it is rendered.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

from jinja2 import ChainableUndefined, Template, TemplateError, nodes
from jinja2.meta import find_undeclared_variables
from jinja2.sandbox import ImmutableSandboxedEnvironment

OBJECTS = frozenset({"contact", "company", "deal", "facts", "stage", "status"})
"""What a text may speak of."""
_LONGEST = 4_000
_LONGEST_TEMPLATE = 8_000
_LONGEST_VALUE = 1_000

_NODES = (
    nodes.Output, nodes.TemplateData, nodes.If, nodes.CondExpr, nodes.Name, nodes.Getattr, nodes.Getitem, nodes.Const,
    nodes.And, nodes.Or, nodes.Not, nodes.Compare, nodes.Operand, nodes.Concat, nodes.Filter, nodes.Test, nodes.Keyword,
)  # fmt: skip
# None of them can make much out of little; `safe` is not among them, so every value in notes is escaped.
_FILTERS = frozenset({
    "abs", "capitalize", "count", "d", "default", "e", "escape", "first", "float", "int", "last", "length", "lower",
    "string", "striptags", "title", "trim", "truncate", "upper", "urlencode",
})  # fmt: skip
_TESTS = frozenset({"defined", "undefined", "none", "string", "eq", "ne", "equalto", "in"})
_WORDS: Mapping[type[nodes.Node], str] = {
    nodes.For: "a loop", nodes.Call: "a call", nodes.Macro: "a macro", nodes.Assign: "`set`",
    nodes.AssignBlock: "`set`", nodes.BinExpr: "arithmetic", nodes.UnaryExpr: "arithmetic", nodes.Include: "`include`",
    nodes.Import: "`import`", nodes.FromImport: "`import`", nodes.Extends: "`extends`", nodes.Block: "a block",
    nodes.List: "a list", nodes.Tuple: "a list", nodes.Dict: "a list", nodes.Slice: "a slice",
}  # fmt: skip

# Control characters, halves of characters, and marks that turn the direction of what follows: no text needs them.
_UNSEEN = {
    code: None
    for code in (*range(9), 11, 12, *range(14, 32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A),
                 *range(0xD800, 0xE000))
    if code != 0x85
}  # fmt: skip


class _Environment(ImmutableSandboxedEnvironment):
    def getattr(self, obj: Any, attribute: str) -> Any:
        """Look up properties alone: a mapping's own methods are none, though a property may be called like one."""
        return self.getitem(obj, attribute) if isinstance(obj, Mapping) else self.undefined(name=attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """Look up properties alone."""
        return obj[argument] if isinstance(obj, Mapping) and argument in obj else self.undefined(name=str(argument))


@cache
def _environment(escaping: bool) -> ImmutableSandboxedEnvironment:
    environment = _Environment(
        autoescape=escaping, undefined=ChainableUndefined, finalize=_blank_none, cache_size=0, optimized=False
    )
    environment.globals.clear()
    environment.filters = {name: environment.filters[name] for name in _FILTERS}
    environment.tests = {name: environment.tests[name] for name in _TESTS}
    return environment


def _blank_none(value: Any) -> Any:
    return "" if value is None else value


@cache
def _template(text: str, escaping: bool) -> Template:
    _refuse_the_rest(_environment(False).parse(text))
    return _environment(escaping).from_string(text)


class _NotTaken(ValueError):
    """Says what a text holds that texts do not do."""


def _refuse_the_rest(tree: nodes.Template) -> None:
    for node in tree.find_all(nodes.Node):
        if not isinstance(node, _NODES):
            what = next((word for kind, word in _WORDS.items() if isinstance(node, kind)), "more than that")
            raise _NotTaken(f"{what} is not taken; texts show properties and choose by `if`")
        if isinstance(node, nodes.Getattr | nodes.Getitem):
            _refuse_the_rest_of_a_field(node)
        if isinstance(node, nodes.Name) and node.name == "self":
            raise _NotTaken("'self' is nothing that a text may speak of")


def _refuse_the_rest_of_a_field(node: nodes.Getattr | nodes.Getitem) -> None:
    name = node.attr if isinstance(node, nodes.Getattr) else getattr(node.arg, "value", None)
    if not isinstance(node.node, nodes.Name) or not isinstance(name, str) or name.startswith("_"):
        raise _NotTaken(f"{str(name)[:40]!r} is no property; a property is an object's, as in `contact.firstname`")


def syntax_error(text: str) -> str | None:
    """Say what is wrong with a template; None when nothing is."""
    if len(text) > _LONGEST_TEMPLATE:
        return f"it is longer than {_LONGEST_TEMPLATE:,} characters"
    try:
        tree = _environment(False).parse(text)
        _refuse_the_rest(tree)
        _environment(False).from_string(text)
    except TemplateError as error:
        return error.message or "not a template"
    except _NotTaken as error:
        return str(error)
    except (RecursionError, SyntaxError, ValueError, MemoryError):
        return "nested too deeply"
    strange = sorted(find_undeclared_variables(tree) - OBJECTS)
    return f"{strange[0]!r} is none of {', '.join(sorted(OBJECTS))}" if strange else None


@cache
def fields(text: str) -> frozenset[tuple[str, str]]:
    """Name the properties that a template uses, as (object, property): `{{ contact.firstname }}`."""
    tree = _environment(False).parse(text)
    dotted = {(node.node.name, node.attr) for node in tree.find_all(nodes.Getattr) if isinstance(node.node, nodes.Name)}
    named = {
        (node.node.name, str(node.arg.value)) for node in tree.find_all(nodes.Getitem)
        if isinstance(node.node, nodes.Name) and isinstance(node.arg, nodes.Const)
    }  # fmt: skip
    return frozenset(dotted | named)


def rendered(text: str, values: Mapping[str, Any], *, fallback: str, html: bool = False) -> str:
    """Render a text on one line (or, as HTML, with its lines kept and every value escaped)."""
    try:
        out = _template(text, html).render({name: _within_bounds(value) for name, value in values.items()})
    except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError, AssertionError, RecursionError):
        return fallback
    out = out.translate(_UNSEEN)
    out = out.strip() if html else " ".join(out.split())
    return out[:_LONGEST] or fallback


def _within_bounds(value: Any) -> Any:
    """Cut what is longer than anybody reads: a property may hold megabytes."""
    if isinstance(value, Mapping):
        return {name: _within_bounds(inner) for name, inner in value.items()}
    return value[:_LONGEST_VALUE] if isinstance(value, str) else value
