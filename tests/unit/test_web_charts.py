"""Charts of the web page: round numbers, sound XML, nothing hostile; and where contacts stand, in order."""

from datetime import UTC
from xml.etree import ElementTree as ET
from zoneinfo import ZoneInfo

import pytest

from connector.days import Stand
from connector.sankey import Flow, sankey
from connector.web.charts import Series, areas, bars, nice, short
from connector.web.stands import in_order, mark_of
from connector.web.zones import tell
from connector.zones import zone_of

LADDER = ("contact", "lead", "prospect", "opportunity")
HOSTILE = "<script>\"'&"


@pytest.mark.parametrize(
    ("most", "axis"), [(0, 4), (1, 4), (5, 8), (8, 8), (9, 10), (79, 80), (81, 100), (1_001, 2_000), (10**9, 10**9)]
)
def test_axes_end_at_round_numbers_that_four_lines_divide(most: int, axis: int) -> None:
    assert nice(most) == axis


def test_numbers_fit_beside_an_axis() -> None:
    assert [short(value) for value in (0, 7.5, 999, 1_500, 2_500_000)] == ["0", "7.5", "999", "1.5 k", "2.5 M"]


def test_bands_lie_on_each_other_and_say_their_numbers() -> None:
    drawn = areas(
        [Series(name=HOSTILE, mark=HOSTILE, values=[1, 2]), Series(name="b", mark="k1", values=[3, 0])], ["", "x"],
        title=HOSTILE,
    )  # fmt: skip
    tree = ET.fromstring(drawn)  # noqa: S314 - our own
    said = [title.text for title in tree.iter("title")]
    assert said == [HOSTILE, f"{HOSTILE}: 1 at first, 2 now", "b: 3 at first, 0 now"]
    lower, upper = (path.get("d", "") for path in tree.iter("path"))
    top_of_first = lower.removeprefix("M").split(" L")[:2]
    assert upper.removesuffix(" Z").split(" L")[2:] == top_of_first[::-1]


def test_nothing_is_drawn_of_nothing() -> None:
    assert areas([], ["a", "b"], title="") == ""
    assert areas([Series(name="a", mark="", values=[0, 0])], ["a", "b"], title="") == ""
    assert areas([Series(name="a", mark="", values=[1])], ["a"], title="") == ""


def test_bars_say_what_they_are() -> None:
    tree = ET.fromstring(bars([0, 5], title="t", says=["none", HOSTILE]))  # noqa: S314 - our own
    assert [title.text for title in tree.iter("title")] == ["t", "none", HOSTILE]
    assert [bar.get("class") for bar in tree.iter("rect")] == ["bar none", "bar"]


def test_a_hostile_name_in_a_sankey_is_words() -> None:
    flows = [Flow(before=HOSTILE, after="b", number=3, mark=HOSTILE)]
    tree = ET.fromstring(sankey(flows, order=[], title=HOSTILE))  # noqa: S314 - our own
    assert f"{HOSTILE} 3" in [text.text for text in tree.iter("text")]


def test_stands_are_ordered_by_the_ladder_and_from_cold_to_hot() -> None:
    stands = [Stand("prospect", "hot"), Stand("", ""), Stand("lead", ""), Stand("prospect", "cold"), Stand("old", "")]
    assert list(map(str, in_order(stands, LADDER))) == ["none", "old", "lead", "prospect cold", "prospect hot"]


def test_colours_follow_the_ladder_however_long_it_is() -> None:
    assert [mark_of(Stand(stage, ""), LADDER) for stage in LADDER] == ["k0", "k1", "k2", "k3"]
    long = tuple("abcdefghijkl")
    marks = [mark_of(Stand(stage, ""), long) for stage in long]
    assert (marks[0], marks[-1], len(set(marks))) == ("k0", "k5", 6)
    assert mark_of(Stand("prospect", "hot"), LADDER) == "k2 t-hot"
    assert mark_of(Stand("prospect", "made up"), LADDER) == "k2"
    assert mark_of(Stand("elsewhere", ""), LADDER) == "k-none"


def test_moments_are_told_in_a_zone_and_exactly() -> None:
    told = '<time datetime="2026-09-21T14:13:20Z">2026-09-21 {}</time>'
    assert tell(1_790_000_000_999, ZoneInfo("Asia/Kolkata")) == told.format("19:43:20 IST")
    assert tell(1_790_000_000_999, UTC) == told.format("14:13:20 UTC")
    assert tell(10**18, UTC) == '<time datetime="9999-12-31T23:59:59.999Z">9999-12-31T23:59:59.999Z</time>'


def test_a_zone_that_this_machine_does_not_know_gives_way_to_the_next() -> None:
    assert str(zone_of("", "Mars/Olympus", "../etc/passwd", "Europe/Berlin")) == "Europe/Berlin"
    assert zone_of("Mars/Olympus") is UTC
