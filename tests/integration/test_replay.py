"""A past decision made anew is the same to the letter under the same pack, and tells under another what flips."""

import subprocess
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from connector.decision import Memory
from connector.errors import FilesInvalid
from connector.examiner import judge
from connector.identity.erasure import erase_person
from connector.record import Held, Recorder
from connector.rollout.confusion import Confusion
from connector.rollout.replay import LeftOut, Range, Verdict, replay
from connector.rollout.revision import NoSuchRevision, pack_at
from connector.rollout.run import pack_of
from connector.rulebook.checking import load_pack_text
from connector.rulebook.pack import Pack
from connector.rulebook.shipped import shipped_packs
from connector.services import terms_of
from connector.snapshot import Snapshot, Wanted
from connector.store.engine import open_database, writing
from connector.store.tables import records
from tests.merging import ACTS, PACK, Story, tell
from tests.practice import NOW, Practice, practice
from tests.rulebooks import SEEDS, proof, shipped, some_contact, some_memory
from tests.seasons import live

PORTAL = 4242
STRICT = """
version: 1
pack: strict
ladder: [contact, lead]
settings: {enough: %s}
facts: {keen: {num_conversion_events: {at_least: $enough}}}
stages:
  - {id: keen, when: keen, stage: lead, because: They came often enough.}
  - {id: others, stage: contact, because: Not yet.}
tasks: [{id: greet, when: {entered: lead}, title: Greet}]
"""


def pack_from(text: str) -> Pack:
    pack, problems = load_pack_text(text)
    assert pack is not None, problems
    return pack


def judged_anew(the: Practice, pack: Pack, **range_: Any) -> list[Verdict | LeftOut]:
    range_ = {"portal": the.portal, **range_}
    return list(replay(the.services.engine, pack, Range(**range_), progress=lambda *_: None))


def counted(found: Sequence[Verdict | LeftOut]) -> Confusion:
    confusion = Confusion()
    for one in found:
        confusion.add(one)
    return confusion


def visitors(the: Practice, *visits: int) -> list[str]:
    return [
        the.sandbox.create_contact({"email": f"v{n}@example.com", "num_conversion_events": str(visit)})
        for n, visit in enumerate(visits)
    ]


# --- the same pack ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "seed"), [*((name, 1) for name in sorted(shipped_packs())), ("default", 2)])
def test_under_the_same_pack_every_decision_of_a_long_run_comes_out_the_same(
    tmp_path: Path, name: str, seed: int
) -> None:
    with practice(tmp_path, rules=shipped_packs()[name]) as the:
        live(the, seed)
        found = judged_anew(the, the.services.portals[the.portal].pack)
        assert len(found) > 20
        assert [one for one in found if isinstance(one, LeftOut) or not one.is_identical] == []


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_it_does_after_merges_deletions_crashes_and_lost_answers_too(tmp_path: Path, seed: int) -> None:
    with practice(tmp_path, rules=PACK) as the:
        story = Story(the, seed)
        tell(story, [(story.random.choice(ACTS), story.random.randrange(99_999)) for _ in range(60)])
        found = judged_anew(story.the, the.services.portals[the.portal].pack)
        assert [one for one in found if isinstance(one, Verdict) and not one.is_identical] == []
        assert {one.why for one in found if isinstance(one, LeftOut)} <= {"cleared"}


@proof(60)
@given(seeds=st.lists(SEEDS, min_size=1, max_size=20, unique=True), name=st.sampled_from(sorted(shipped())))
def test_whatever_was_read_and_known_is_kept_well_enough_to_decide_the_same(
    tmp_path_factory: pytest.TempPathFactory, seeds: list[int], name: str
) -> None:
    engine = open_database(f"sqlite:///{tmp_path_factory.mktemp('law') / 'law.db'}")
    rulebook = shipped()[name]
    pack = rulebook.pack
    recorder = Recorder(engine, portal=1, pack=pack.name, pack_hash=pack.hash, wanted=Wanted.by(pack))
    terms = terms_of(_portal(), pack)
    judged = []
    for number, seed in enumerate(seeds):
        person = some_contact(seed)
        snapshot = Snapshot(
            contact=str(number), properties=person.properties, company=person.company, deals=person.deals
        )
        held = Held(memory=some_memory(seed, pack))
        judged.append(judge(rulebook, snapshot, held, terms, NOW + seed))
    for one, seed in zip(judged, seeds, strict=True):
        with writing(engine) as connection:
            recorder.intend(connection, "c", [one], NOW + seed, live=True)
    found = list(replay(engine, pack, Range(portal=1), progress=lambda *_: None))
    assert [isinstance(one, Verdict) and one.is_identical for one in found] == [True] * len(seeds)
    engine.dispose()


def _portal() -> Any:
    from connector.config import Portal  # noqa: PLC0415 - of this alone

    return Portal.model_validate({
        "id": 1, "access_token": "t", "client_secret": "s", "webhook_url": "https://e.example/h", "rules": "r.yaml",
    })  # fmt: skip


@given(seed=SEEDS)
@proof(100)
def test_a_memory_is_kept_to_the_letter(seed: int) -> None:
    memory = some_memory(seed, shipped()["default"].pack, lived=bool(seed % 2))
    assert Memory.from_data(memory.as_data()) == memory


# --- another pack -----------------------------------------------------------------------------------------------------


def test_a_raised_threshold_flips_those_below_it_and_nobody_else(tmp_path: Path) -> None:
    with practice(tmp_path, rules=STRICT % 2) as the:
        ids = visitors(the, 0, 1, 2, 3, 4)
        the.catch_up()
        found = counted(judged_anew(the, pack_from(STRICT % 4)))
        assert [one.contact for one in found.newest()] == [ids[3], ids[2]]
        assert {(str(a), str(b)): n for (a, b), n in found.moves.items()} == {
            ("contact", "contact"): 2, ("lead", "contact"): 2, ("lead", "lead"): 1,
        }  # fmt: skip
        assert found.rules == {("others", "others"): 2, ("keen", "others"): 2, ("keen", "keen"): 1}
        assert (found.decisions, found.contacts, found.flipped, found.flipped_contacts) == (5, 5, 2, 2)


def test_a_decision_of_the_same_stage_that_would_make_something_else_is_counted_apart(tmp_path: Path) -> None:
    with practice(tmp_path, rules=STRICT % 2) as the:
        visitors(the, 3)
        the.catch_up()
        found = counted(judged_anew(the, pack_from((STRICT % 2).replace("greet", "call"))))
        assert (found.flipped, found.otherwise) == (0, 1)


def test_each_is_judged_at_its_own_moment_and_with_what_was_known_then(tmp_path: Path) -> None:
    """The task was due once: at the second look it had been made already, in the replay as in life."""
    with practice(tmp_path, rules=STRICT % 2) as the:
        [ana] = visitors(the, 3)
        the.catch_up()
        the.move(days=40)
        the.look(ana)
        first, second = judged_anew(the, pack_from(STRICT % 2))
        assert isinstance(first, Verdict)
        assert isinstance(second, Verdict)
        assert (first.is_identical, second.is_identical) == (True, True)
        assert second.decided_at - first.decided_at > 39 * 86_400_000
        assert counted([first, second]).otherwise == 0


def test_what_nobody_read_then_is_told_and_counts_as_unknown(tmp_path: Path) -> None:
    other = (STRICT % 2).replace("keen: {num_conversion_events", "keen: {sk_unanswered")
    with practice(tmp_path, rules=STRICT % 2) as the:
        visitors(the, 3, 0)
        the.catch_up()
        found = counted(judged_anew(the, pack_from(other)))
        assert found.unread == {"sk_unanswered": 2}
        assert found.flipped == 1
        same = counted(judged_anew(the, pack_from((STRICT % 2).replace("often enough", "twice"))))
        assert (same.unread, same.flipped) == ({}, 0)


def test_a_company_and_deals_that_the_pack_never_read_are_not_taken_for_none(tmp_path: Path) -> None:
    further = "firm: {company.type: {is: VENDOR}}, won: {any_deal: {dealstage: {is: closedwon}}}"
    other = (STRICT % 2).replace("keen: {num", f"{further}, keen: {{num")
    other = other.replace("when: keen", "when: {any: [firm, won, keen]}")
    with practice(tmp_path, rules=STRICT % 2) as the:
        visitors(the, 0, 3)
        the.catch_up()
        found = counted(judged_anew(the, pack_from(other)))
        assert found.unread == {"company.type": 2, "deal.dealstage": 2, "deals": 2}
        assert (found.open, found.flipped) == (1, 0)


# --- which records ----------------------------------------------------------------------------------------------------


def test_records_of_an_older_release_and_cleared_ones_are_left_out_and_counted(tmp_path: Path) -> None:
    with practice(tmp_path, rules=STRICT % 2) as the:
        ana, bob, _ = visitors(the, 3, 3, 3)
        the.catch_up()
        read = sa.select(records.c.id, records.c.read).where(records.c.contact == ana)
        [row] = the.rows(read)
        older = {name: value for name, value in row.read.items() if name != "before"}
        with writing(the.services.engine) as connection:
            connection.execute(sa.update(records).where(records.c.id == row.id).values(read=older))
        the.sandbox.delete_contact(bob)
        the.catch_up()
        found = counted(judged_anew(the, pack_from(STRICT % 2)))
        assert (found.left_out, found.decisions) == ({"older": 1, "cleared": 1}, 1)


def test_who_was_erased_is_judged_no_more(tmp_path: Path) -> None:
    with practice(tmp_path, rules=STRICT % 2) as the:
        ana, bob = visitors(the, 3, 3)
        the.catch_up()
        erase_person(the.services.engine, the.portal, ana, reason="asked", now=the.time.now)
        found = judged_anew(the, pack_from(STRICT % 4))
        assert [one.contact for one in found if isinstance(one, Verdict)] == [bob]


def test_since_and_limit_choose_the_newest(tmp_path: Path) -> None:
    with practice(tmp_path, rules=STRICT % 2) as the:
        ids = visitors(the, 3, 3, 3)
        the.catch_up()
        the.move(days=2)
        middle = the.time.now
        the.move(days=2)
        the.look(ids[1])
        pack = pack_from(STRICT % 2)
        assert len(judged_anew(the, pack)) == 4
        assert [one.contact for one in judged_anew(the, pack, since=middle) if isinstance(one, Verdict)] == [ids[1]]
        last_two = [one.contact for one in judged_anew(the, pack, limit=2) if isinstance(one, Verdict)]
        assert last_two == [ids[1], ids[2]]
        assert len(judged_anew(the, pack, limit=99)) == 4
        assert judged_anew(the, pack, portal=1) == []


@pytest.mark.usefixtures("in_a_file")
def test_nothing_is_written_and_nobody_is_asked(tmp_path: Path) -> None:
    with practice(tmp_path, rules=STRICT % 2) as the:
        visitors(the, 3, 1)
        the.catch_up()
        the.sandbox.calls.reset()
        before = (tmp_path / "practice.db").read_bytes()
        judged_anew(the, pack_from(STRICT % 4))
        assert the.sandbox.calls.count() == 0
        assert (tmp_path / "practice.db").read_bytes() == before


def test_memory_stays_flat_however_many_records_there_are(tmp_path: Path) -> None:
    with practice(tmp_path, rules=STRICT % 2) as the:
        visitors(the, 3)
        the.catch_up()
        [row] = the.rows(sa.select(records))
        pack = pack_from(STRICT % 4)

        def peak_of(number: int) -> int:
            more = {name: value for name, value in row._mapping.items() if name != "id"}
            with writing(the.services.engine) as connection:
                connection.execute(sa.insert(records), [{**more, "contact": f"{n % 700}"} for n in range(number)])
            counted(judged_anew(the, pack))
            confusion = Confusion()
            tracemalloc.start()
            for one in replay(the.services.engine, pack, Range(portal=the.portal), progress=lambda *_: None):
                confusion.add(one)
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert confusion.flipped == confusion.decisions
            return peak

        few, many = peak_of(4_000), peak_of(12_000)
        assert many < few * 1.2


# --- a git revision ---------------------------------------------------------------------------------------------------


def git(folder: Path, *arguments: str) -> None:
    named = ("-c", "user.name=Ana", "-c", "user.email=ana@example.com", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *named, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A pack with two versions, in a folder of a repository, the third one not committed."""
    folder = tmp_path / "repository" / "rules"
    folder.mkdir(parents=True)
    git(folder.parent, "init", "--quiet")
    pack = folder / "strict.yaml"
    for number in (2, 4):
        pack.write_text(STRICT % number, encoding="utf-8")
        git(folder, "add", ".")
        git(folder, "commit", "--quiet", "--message", f"at least {number}")
    pack.write_text(STRICT % 9, encoding="utf-8")
    return pack


def test_a_pack_is_read_as_it_stood_at_a_revision(repository: Path) -> None:
    assert [pack_at(repository, rev).hash for rev in ("HEAD~1", "HEAD")] == [
        pack_from(STRICT % number).hash for number in (2, 4)
    ]
    assert pack_of(repository).hash == pack_from(STRICT % 9).hash


@pytest.mark.parametrize(
    ("revision", "said"),
    [
        ("HEAD~7", r"--rev HEAD~7: the repository of .* has no such revision.*git log --oneline"),
        ("--output=x", r"'--output=x': no revision"),
        ("", r"'': no revision"),
        ("HEAD\nHEAD", "has no such revision"),
    ],
)
def test_a_revision_that_is_not_there_is_named(repository: Path, revision: str, said: str) -> None:
    with pytest.raises(NoSuchRevision, match=said):
        pack_at(repository, revision)


def test_a_file_that_was_not_there_then_is_named_with_the_way_to_find_it(repository: Path) -> None:
    with pytest.raises(NoSuchRevision, match=r"other.yaml was not in .* then .*git log --follow -- other.yaml"):
        pack_at(repository.with_name("other.yaml"), "HEAD")
    with pytest.raises(NoSuchRevision, match="there is no folder"):
        pack_at(repository.parent / "away" / "strict.yaml", "HEAD")


def test_a_folder_without_a_repository_is_named(tmp_path: Path) -> None:
    with pytest.raises(NoSuchRevision, match=r"is in no git repository.*leave --rev out"):
        pack_at(tmp_path / "strict.yaml", "HEAD")


def test_without_git_it_says_so(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(repository.parent))
    with pytest.raises(NoSuchRevision, match="there is no command `git`"):
        pack_at(repository, "HEAD")


def test_a_pack_that_was_broken_then_is_refused_with_the_revision_in_its_place(repository: Path) -> None:
    repository.write_text("version: 1\npack: broken\n", encoding="utf-8")
    git(repository.parent, "commit", "--quiet", "--all", "--message", "oops")
    repository.write_text(STRICT % 4, encoding="utf-8")
    with pytest.raises(FilesInvalid, match=r"strict.yaml@HEAD:1:1: missing-key"):
        pack_at(repository, "HEAD")
