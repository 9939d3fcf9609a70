"""No text of a pack can hang, grow or look where it should not, and no value of a contact is more than a value."""

import time
import tracemalloc

import pytest

from connector.rulebook.templates import fields, rendered, syntax_error

VALUES = {"contact": {"firstname": "Ana", "items": "3", "values": ""}, "company": {}, "facts": {"fits": "yes"},
          "stage": "lead"}  # fmt: skip

BOMBS = [
    "{{ 'a' * 10**9 }}",
    "{{ ['a'] * 10**9 }}",
    "{{ (1,) * 10**8 }}",
    "{{ 9**9**9 }}",
    "{{ 10**1000000 }}",
    "{% for i in range(10**9) %}x{% endfor %}",
    "{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}",
    "{% for a in 'xxxxxxxxxx' recursive %}{{ loop('xxxxxxxxxx') }}{% endfor %}",
    "{% set ns = namespace(a='a') %}{% for i in range(60) %}{% set ns.a = ns.a ~ ns.a %}{% endfor %}{{ ns.a }}",
    "{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}",
    "{{ '%1000000000d' | format(1) }}",
    "{{ '{:>1000000000}'.format('a') }}",
    "{{ 'a' | center(1000000000) }}",
    "{{ 'a' | indent(1000000000, first=true) }}",
    "{{ 'aaaa' | replace('a', 'aaaaaaaaaaaaaaaa') | replace('a', 'aaaaaaaaaaaaaaaa') }}",
    "{{ 'aaaa' | join('aaaaaaaaaaaa') | join('aaaaaaaaaaaa') }}",
    "{{ 1.5 | round(1000000000, 'ceil') }}",
    "{{ lipsum(n=1000000) }}",
    "{{ range(99999) | list }}",
]
BREAKOUTS = [
    "{{ ''.__class__ }}",
    "{{ contact.__class__.__mro__ }}",
    "{{ contact['__class__'] }}",
    "{{ contact.firstname.__init__.__globals__ }}",
    "{{ contact | attr('__class__') }}",
    "{{ contact | map(attribute='__class__') }}",
    "{{ '{0.__class__}'.format(contact) }}",
    "{{ '%s' % contact }}",
    "{{ contact.items() }}",
    "{{ ''.join }}",
    "{{ contact.firstname.upper }}",
    "{{ self }}",
    "{{ self._TemplateReference__context }}",
    "{{ cycler.__init__.__globals__.os }}",
    "{{ joiner }}",
    "{% import 'os' as os %}",
    "{% include '/etc/passwd' %}",
    "{% extends 'x' %}",
    "{% block x %}{% endblock %}",
    "{% set x = 1 %}",
    "{% filter upper %}x{% endfilter %}",
    "{% call x() %}{% endcall %}",
    "{{ contact.firstname | safe }}",
]


@pytest.mark.parametrize("text", [*BOMBS, *BREAKOUTS])
def test_what_computes_or_looks_elsewhere_is_refused_by_check_and_never_rendered(text: str) -> None:
    tracemalloc.start()
    began = time.monotonic()
    assert syntax_error(text)
    assert rendered(text, VALUES, fallback="the id") == "the id"
    assert time.monotonic() - began < 2
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()


@pytest.mark.parametrize(
    "text",
    ["{{ " * 3_000, "{{ " + "not " * 2_500 + "1 }}", "{{ " + "(" * 3_000 + "1", "x" * 8_001,
     "{{ " + "9" * 5_000 + " }}", "{% if 1 %}" * 700 + "{% endif %}" * 5],
)  # fmt: skip
def test_a_text_that_is_deep_or_long_is_refused(text: str) -> None:
    assert syntax_error(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("{{ contact.firstname or contact.email }}", "Ana"),
        ("{{ contact['firstname'] | upper }}", "ANA"),
        ("{% if contact.firstname == 'Ana' and not company.name %}yes{% else %}no{% endif %}", "yes"),
        ("{{ 'a' if facts.fits == 'yes' else 'b' }}{{ ' ' ~ stage }}", "a lead"),
        ("{{ company.name | default('nobody') | title }}", "Nobody"),
        ("{{ contact.firstname | truncate(1) }}", "the id"),
        ("{{ contact.items }}{{ contact.keys }}{{ contact.get }}", "3"),
        ("{{ contact.firstname is defined }} {{ contact.other is defined }}", "True False"),
    ],
)
def test_what_a_text_may_do_it_does(text: str, shown: str) -> None:
    assert syntax_error(text) is None
    assert rendered(text, VALUES, fallback="the id") == shown


def test_a_property_in_brackets_is_read_from_hubspot_too() -> None:
    assert fields("{{ contact['email'] }} {{ company.name }}") == {("contact", "email"), ("company", "name")}


HOSTILE = "<img src=x onerror=alert(1)>\"'&{{ 7*7 }}{% for x in y %}"


def test_a_hostile_value_is_text_in_a_title_and_escaped_in_notes() -> None:
    values = {"contact": {"firstname": HOSTILE}}
    assert rendered("{{ contact.firstname }}", values, fallback="x") == HOSTILE
    notes = rendered("<b>{{ contact.firstname }}</b>", values, fallback="x", html=True)
    assert notes == "<b>&lt;img src=x onerror=alert(1)&gt;&#34;&#39;&amp;{{ 7*7 }}{% for x in y %}</b>"


def test_a_value_of_ten_megabytes_is_cut_before_anything_is_made_of_it() -> None:
    values = {"contact": {"firstname": "é" * 10_000_000, "lastname": "\n" * 10_000_000}}
    began = time.monotonic()
    title = rendered("{{ contact.firstname }}{{ contact.lastname }} {{ contact.firstname }}", values, fallback="x")
    assert (len(title), time.monotonic() - began < 2) == (2_001, True)


def test_marks_that_are_not_seen_are_left_out() -> None:
    values = {"contact": {"firstname": "A\x00\x1bn\u202ea\u2066\x7f\ud800 \u200d\u2028B\nC"}}
    assert rendered("{{ contact.firstname }}", values, fallback="x") == "Ana \u200d B C"
    assert rendered("{{ contact.firstname }}", values, fallback="x", html=True) == "Ana \u200d\u2028B\nC"
