"""What `check` proves: planted faults are found with a contact that shows them, and nothing else is claimed."""

import itertools
import random
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, note

from connector import cli
from connector.cli.test import run_files
from connector.decision import NO_MEMORY, decide
from connector.moments import DAY
from connector.proving.classes import Catalogue, catalogue
from connector.proving.dead import happens
from connector.proving.encoding import World
from connector.proving.formulas import FALSE, TRUE, Choice, Three, all_of, any_of, is_true, negated, three_not, variable
from connector.proving.landmarks import landmarks, number_line, presents, unit_of
from connector.proving.probes import probes
from connector.proving.prover import PRESENT, Proof, prove
from connector.proving.solving import Solver, Undecided
from connector.proving.space import Space
from connector.proving.witness import written
from connector.rulebook.cases import CaseSubject
from connector.rulebook.checking import check_pack, load_pack_text
from connector.rulebook.contradictions import KNOWN_FORMS
from connector.rulebook.judging import Known, Rulebook
from connector.rulebook.operands import OperandError
from connector.rulebook.operators import Test as Asked
from connector.rulebook.operators import make_test
from connector.rulebook.pack import Pack, Rule, StageRule, StatusRule, TaskRule
from connector.rulebook.reading import read_bytes, read_file
from connector.rulebook.shipped import shipped_packs
from tests.integration.test_pipeline import RESTLESS
from tests.practice import practice
from tests.rulebooks import SEEDS, pack_of, proof
from tests.unit.test_architecture import importers

FOLDER = Path(__file__).parent.parent / "data" / "rules_proven"
FILES = sorted(FOLDER.glob("*.yaml"))
FAST_S = 5.0


def proven(path: Path, *, with_overlaps: bool = False) -> Proof:
    """Prove a pack that has no fault of shape."""
    document, problems = read_file(path)
    assert document is not None
    pack, problems = check_pack(document, problems)
    assert (pack is not None, problems) == (True, [])
    assert pack is not None
    return prove(pack, document, with_overlaps=with_overlaps)


def proven_text(text: str, **options: bool) -> Proof:
    document, _ = read_bytes(text.encode(), file="pack.yaml")
    assert document is not None
    pack, _ = check_pack(document)
    assert pack is not None
    return prove(pack, document, with_overlaps=options.get("with_overlaps", False))


def codes(proof_: Proof) -> list[str]:
    return [finding.problem.code for finding in proof_.findings]


# --- planted faults ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_planted_fault_is_found_at_its_place_and_no_other(path: Path) -> None:
    places = [finding.problem for finding in proven(path).findings]
    found = [f"{each.place.line}:{each.place.column} {each.code}" for each in places]
    assert found == re.findall(r"^# expect: (.+)$", path.read_text("utf-8"), re.MULTILINE)
    assert {each.severity for each in places} <= {"warning"}
    assert all(each.cure and "\n" not in str(each) for each in places)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_witness_passes_as_a_case_of_a_case_file(path: Path, tmp_path: Path) -> None:
    found = [finding.witness for finding in proven(path).findings if finding.witness]
    if found:
        cases = tmp_path / "witness_test.yaml"
        cases.write_text(f"pack: {path}\ncases:\n" + "".join(found), encoding="utf-8")
        assert [result.differences for result in run_files([cases])] == [()] * len(found)


def test_a_fault_without_a_contact_that_shows_it_names_the_conditions_that_exclude_each_other() -> None:
    silent = {path.stem for path in FILES for finding in proven(path).findings if not finding.witness}
    assert silent == {"never-applies", "never-wins-excluded", "never-wins-status", "never-yes"}
    (finding,) = proven(FOLDER / "never-yes.yaml").findings
    assert "`sk_unanswered at least 5` (7:26), `sk_unanswered less than 5` (8:39)" in finding.problem.found
    assert "the stage rule 'lost'" in finding.problem.found


def test_all_rules_that_take_its_contacts_are_named() -> None:
    (finding,) = proven(FOLDER / "never-wins-together.yaml").findings
    assert "is taken by 'small' and 'large' above it" in finding.problem.found


@pytest.mark.parametrize("name", sorted(shipped_packs()))
def test_nothing_is_found_in_a_shipped_pack_and_soon(name: str) -> None:
    started = time.process_time()
    assert proven(shipped_packs()[name]) == Proof(findings=())
    assert time.process_time() - started < FAST_S


def test_every_run_finds_the_same() -> None:
    path = shipped_packs()["default"]
    assert proven(path, with_overlaps=True) == proven(path, with_overlaps=True)
    assert [proven(path) for path in FILES] == [proven(path) for path in FILES]


# --- thresholds -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("low", "high", "hole"),
    [
        ("less_than: 60", "at_least: 60", None),
        ("at_most: 59", "at_least: 61", "60"),
        ("less_than: 60", "more_than: 60", "60"),
        ("less_than: 59", "more_than: 61", "59"),
        ("at_most: 59", "at_least: 60", None),
        ("at_most: 0.4", "at_least: 0.6", "0.5"),
        ("at_most: 10", "at_least: 50", None),
        ("is: 0", "at_least: 2", "1"),
    ],
)
def test_a_narrow_hole_between_two_thresholds_is_found(low: str, high: str, hole: str | None) -> None:
    found = proven_text(f"""version: 1
pack: p
ladder: [contact, lead, prospect]
stages:
  - {{id: low, stage: lead, when: {{score: {{{low}}}}}, because: Low.}}
  - {{id: high, stage: prospect, when: {{all: [{{score: {{{high}}}}}, {{sk_need: {{is: definite}}}}]}}, because: High.}}
  - {{id: rest, stage: contact, because: The rest.}}
""").findings
    assert [f"'score' at {hole} falls" in finding.problem.found for finding in found] == ([True] if hole else [])
    assert all("sk_need: definite" in finding.witness for finding in found)


def test_cents_count_only_where_there_are_cents() -> None:
    text = """version: 1
pack: p
ladder: [contact]
stages: [{{id: all, stage: contact, because: All.}}]
values:
  - {{id: small, when: {{{name}: {{at_most: 999}}}}, set: {{sk_next_step: small}}}}
  - {{id: large, when: {{{name}: {{at_least: 1000}}}}, set: {{sk_next_step: large}}}}
"""
    assert codes(proven_text(text.format(name="company.annualrevenue"))) == ["threshold-hole"]
    assert codes(proven_text(text.format(name="company.numberofemployees"))) == []


def test_a_hole_that_a_rule_fills_is_none() -> None:
    text = """version: 1
pack: p
ladder: [contact, lead, prospect]
stages:
  - {id: low, stage: lead, when: {score: {less_than: 60}}, because: Low.}
  - {id: high, stage: prospect, when: {score: {more_than: 60}}, because: High.}
  - {id: middle, stage: contact, when: {score: {is: 60}}, because: In the middle.}
  - {id: rest, stage: contact, because: The rest.}
"""
    assert codes(proven_text(text)) == []


def test_numbers_are_divided_by_landmarks_in_the_steps_in_which_people_count() -> None:
    numbers = landmarks([make_test("between", [0.5, 2], {}), make_test("more_than", 2, {})], {}).numbers
    assert str(unit_of(numbers)) == "0.1"
    assert [stretch.value for stretch in number_line(numbers)] == ["0", "0.5", "0.6", "2", "2.1"]


# --- claims that hold for every contact -------------------------------------------------------------------------------

WORDS = ("form", "platform", "head", "head of", "of", "a", "definite", "Definite ", "x;y", "y;x")
NUMBERS = (0, 1, 5, 59, 60, 61, 0.5, "60", "007", 100)
TIMES = ("2026-03-01", "2026-03-02", "2026-03-05T12:00:00Z", "now", "now + 2 days", "now - 36 hours")
SPANS = ("1 day", "2 days", "36 hours", "90 minutes")
HOUR = 3_600_000


def some_test(rng: random.Random, kind: str) -> Asked:
    """Draw a test of one kind of values."""
    choices: Mapping[str, tuple[tuple[str, ...], tuple[object, ...]]] = {
        "text": (("is", "is_not", "contains", "starts_with", "ends_with"), WORDS),
        "number": (("is", "at_least", "at_most", "more_than", "less_than"), NUMBERS),
        "time": (("before", "after", "at_least", "at_most", "less_than", "more_than"), TIMES),
    }
    if rng.random() < 0.15:
        return make_test("known", rng.random() < 0.5, {})
    if kind == "time" and rng.random() < 0.4:
        return make_test(rng.choice(["within_last", "not_within_last", "within_next"]), rng.choice(SPANS), {})
    operators, operands = choices[kind]
    if rng.random() < 0.3:
        many = {"text": rng.choice(["in", "not_in", "contains_any"]), "number": "in", "time": "between"}[kind]
        return make_test(many, rng.sample(operands, 2), {})
    return make_test(rng.choice(operators), rng.choice(operands), {})


def some_value(rng: random.Random, kind: str) -> str | None:
    """Draw a value, near what the tests ask for."""
    if rng.random() < 0.05:
        return rng.choice([None, "", " ", "junk", "zzz;qqq"])
    if kind == "text":
        parts = [rng.choice([*WORDS, "zz", "~", "hea"]) for _ in range(rng.randint(1, 4))]
        return rng.choice([";", " ", "", ";;", "-"]).join(parts) + rng.choice(["", ";", "q"])
    if kind == "number":
        return rng.choice([str(rng.choice(NUMBERS)), f"{rng.uniform(-2, 120):.2f}", "6e1", "60.0"])
    near = rng.choice([0, 48, -36, -24, -48, 24, 36, 1.5, -1.5, rng.randint(-150, 150)])
    return str(PRESENT + round(near * HOUR) + rng.choice([-1, 0, 1]))


@given(SEEDS)
@proof(400)
def test_no_value_answers_tests_in_a_way_that_no_probe_does(seed: int) -> None:
    rng = random.Random(seed)
    kind = rng.choice(["text", "number", "time"])
    tests: list[Asked] = []
    while len(tests) < rng.randint(1, 5):
        try:
            tests.append(some_test(rng, kind))
        except OperandError:
            continue
    tried = probes(landmarks(tests, {}), PRESENT, form=None, options=(), strict=False)
    known = {tuple(test.judge(value).at(PRESENT) for test in tests) for value in (*tried.likely, *tried.others)}
    for _ in range(40 if tried.complete else 0):
        value = some_value(rng, kind)
        note(f"{[(test.operator, test.operand) for test in tests]} {value!r}")
        assert tuple(test.judge(value).at(PRESENT) for test in tests) in known


def some_condition(rng: random.Random, depth: int, *, facts: bool = True, late: bool = False) -> str:
    """Draw a condition in YAML's flow style."""
    if depth and rng.random() < 0.55:
        parts = ", ".join(some_condition(rng, depth - 1, facts=facts, late=late) for _ in range(rng.randint(1, 3)))
        kind = rng.choice(["all", "any"])
        inner = some_condition(rng, 0, facts=facts, late=late)
        return f"{{{kind}: [{parts}]}}" if rng.random() < 0.8 else f"{{not: {inner}}}"
    leaves = [
        f"{{a: {{{rng.choice(['at_least', 'less_than', 'more_than'])}: {rng.randint(1, 3)}}}}}",
        f"{{b: {{is: {rng.choice('xy')}}}}}", f"{{b: {{known: {rng.choice(['true', 'false'])}}}}}",
        f"{{d: {{after: now{rng.choice(['', ' + 3 days'])}}}}}", "{d: {before: 2026-03-10}}",
        f"{{any_deal: {{amount: {{at_least: {rng.randint(1, 2)}}}}}}}",
        f"{{stage: {rng.choice(['low', 'high'])}}}", "{status: warm}", "{stage_for_at_least: 7 days}",
    ]  # fmt: skip
    leaves += ["f", "{f: {known: false}}"] if facts else []
    return rng.choice([*leaves, "{entered: high}"] if late else leaves)


def some_pack(seed: int) -> Pack:
    """Draw a small pack."""
    rng = random.Random(seed)
    lines = ["version: 1", "pack: drawn", "ladder: [low, high]", *(["min_stay: 3 days"] if rng.random() < 0.3 else [])]
    lines.append(f"facts: {{f: {some_condition(rng, 1, facts=False)}}}")
    lines.append("stages:")
    for number in range(rng.randint(1, 4)):
        stage = rng.choice(["low", "high", "null"])
        lines.append(f"  - {{id: s{number}, stage: {stage}, when: {some_condition(rng, 2)}, because: b}}")
    lines.append("statuses:")
    for number in range(rng.randint(1, 3)):
        of = rng.choice(["", "of: low, ", "of: high, "])
        status = rng.choice(["warm", "hot", "closed"])
        when = some_condition(rng, 1, late=True)
        lines.append(f"  - {{id: t{number}, {of}status: {status}, when: {when}, because: b}}")
    lines.append("tasks:")
    tasks = [some_condition(rng, 2, late=True) for _ in range(rng.randint(1, 3))]
    lines += [f"  - {{id: k{number}, title: t, when: {when}}}" for number, when in enumerate(tasks)]
    return pack_of("\n".join(lines))


def every_contact(known: Catalogue) -> Iterator[tuple[CaseSubject, int]]:
    """Give a contact of every combination of classes, with none, one or two deals."""
    for number, now in enumerate(known.presents):
        columns = [
            [(key, each.values[number]) for each in column.classes if number in each.values]
            for key, column in known.columns.items() if key[0] != "deal"
        ]  # fmt: skip
        deal = known.columns.get(("deal", "amount"))
        found = [each.values[number] for each in deal.classes if number in each.values] if deal else []
        amounts = [(), *[(each,) for each in found], *itertools.combinations(found, 2)]
        for values, deals in itertools.product(itertools.product(*columns), amounts):
            contact = {key[1]: value for key, value in values}
            yield CaseSubject(properties=contact, company={}, deals=tuple({"amount": each} for each in deals)), now


def seen_rules(pack: Pack, known: Catalogue) -> tuple[set[Rule], set[str]]:
    """Judge everybody, with all that may have been known before; give the rules that had effect and the facts."""
    rulebook, rules, facts = Rulebook(pack), set[Rule](), set[str]()
    stages = sorted({rule.stage for rule in pack.stages if rule.stage})
    statuses = sorted({rule.status for rule in pack.statuses})
    for subject, now in every_contact(known):
        row = rulebook.read(subject)
        for stay, stage, status in itertools.product(known.stays, [None, *stages], [None, *statuses]):
            judged, _ = rulebook.judge_row(row, Known(stage, status, None if stay is None else now - stay), now)
            rules |= {rule for rule in (judged.stage_rule, judged.status_rule) if rule is not None}
            rules |= set() if judged.status == "closed" else set(judged.tasks)
            facts |= {name for name, answer in judged.facts.items() if answer == "yes"}
    return rules, facts


@given(SEEDS)
@proof(25)
def test_a_rule_is_said_never_to_apply_exactly_when_it_applies_to_none_of_all_contacts(seed: int) -> None:
    pack = some_pack(seed)
    known = catalogue(pack, now=PRESENT, forms={}, strict=False)
    space = Space(World(pack, known), seconds=5)
    applied, yes = seen_rules(pack, known)
    rules: list[StageRule | StatusRule | TaskRule] = [*pack.stages, *pack.statuses, *pack.tasks]
    never = {rule.id for rule in rules if space.is_impossible(happens(space.reading, rule), "")}
    note(str({rule.id: str(rule.when) for rule in rules}))
    assert never == {rule.id for rule in rules if rule not in applied}
    assert {name for name in yes if space.is_impossible(space.reading.fact_is_yes(name), "")} == set()
    assert space.undecided == []


@given(SEEDS)
@proof(40)
def test_whatever_the_solver_writes_down_is_judged_as_it_says(seed: int) -> None:
    pack = some_pack(seed)
    space = Space(World(pack, catalogue(pack, now=PRESENT, forms={}, strict=False)), seconds=5)
    for rule in (*pack.stages, *pack.statuses, *pack.tasks):
        witness = space.find(happens(space.reading, rule), likely=False)
        if witness is not None:
            judged = witness.judged(space.rulebook)
            assert rule in (judged.stage_rule, judged.status_rule, *judged.tasks)


def test_nothing_is_called_impossible_that_rests_on_a_regular_expression() -> None:
    text = """version: 1
pack: p
ladder: [contact, lead]
stages:
  - {id: odd, stage: lead, when: {all: [{jobtitle: {matches: "^q[0-9]z$"}}, {jobtitle: {is_not: other}}]}, because: b}
  - {id: known, stage: lead, when: {jobtitle: {known: true}}, because: b}
  - {id: odd-again, stage: lead, when: {jobtitle: {matches: "^q.z$"}}, because: b}
  - {id: rest, stage: contact, because: b}
"""
    assert [(each.problem.code, each.problem.place.line) for each in proven_text(text).findings] == [("never-wins", 7)]


def test_dates_that_stand_still_are_judged_at_every_present_moment() -> None:
    text = """version: 1
pack: p
ladder: [contact, lead]
stages:
  - {id: campaign, stage: lead, when: {sk_ready_by: {before: 2025-01-31, after: now}}, because: b}
  - {id: rest, stage: contact, because: b}
"""
    assert codes(proven_text(text)) == []
    marks = landmarks([make_test("before", "2025-01-31", {}), make_test("after", "now", {})], {})
    assert (len(presents([marks], PRESENT, 99)[0]), presents([marks], PRESENT, 2)[1]) == (10, False)


# --- overlaps, loops, cadences ----------------------------------------------------------------------------------------


def test_overlaps_are_listed_on_request_and_are_no_warnings() -> None:
    text = """version: 1
pack: p
ladder: [contact, lead, prospect]
stages:
  - {id: asked, stage: lead, when: {sk_source: {is: inbound}}, because: b}
  - {id: eager, stage: prospect, when: {sk_intent: {is: wants_to_buy}}, because: b}
  - {id: eager-too, stage: prospect, when: {sk_intent: {is: interested}}, because: b}
  - {id: rest, stage: contact, because: b}
"""
    assert proven_text(text).findings == ()
    found = proven_text(text, with_overlaps=True).findings
    assert [(each.problem.code, each.problem.severity, each.problem.place.line) for each in found] == [
        ("rules-overlap", "note", 6), ("rules-overlap", "note", 7),
    ]  # fmt: skip
    assert "contact: {sk_source: inbound, sk_intent: wants_to_buy}" in found[0].witness


def test_a_pack_that_says_it_never_rests_does_not_rest_when_it_is_run() -> None:
    for name in ("never-rests", "never-rests-stages"):
        document, _ = read_file(FOLDER / f"{name}.yaml")
        assert document is not None
        pack, _ = check_pack(document)
        assert pack is not None
        rulebook = Rulebook(pack)
        subject, memory = CaseSubject(properties={}, company={}, deals=()), NO_MEMORY
        states = []
        for _ in range(12):
            decision = decide(rulebook, subject, memory, PRESENT)
            written_now = {name: value or None for name, value in decision.set.items()}
            subject = replace(subject, properties={**subject.properties, **written_now})
            memory = decision.memory
            states.append((decision.stage, subject.properties.get("sk_drip")))
        assert states[0] != states[1]
        assert states == states[:2] * 6


def test_the_worker_finds_the_same_packs_restless_as_the_proof(tmp_path: Path) -> None:
    assert codes(proven_text(RESTLESS)) == ["never-rests"]
    (finding,) = proven(FOLDER / "never-rests.yaml").findings
    assert "contact: {}" in finding.witness
    with practice(tmp_path, rules=(FOLDER / "never-rests.yaml").read_text("utf-8")) as the:
        contact = the.sandbox.create_contact({"email": "ana@example.com"})
        the.catch_up()
        assert (the.next_look(contact) or 0) > the.time.now + DAY // 2


def test_a_pack_that_settles_after_a_few_steps_is_at_rest() -> None:
    text = """version: 1
pack: p
ladder: [contact]
stages: [{id: all, stage: contact, because: b}]
values:
  - {id: one, when: {sk_next_step: {known: false}}, set: {sk_next_step: one}}
  - {id: two, when: {sk_next_step: {is: one}}, set: {sk_next_step: two}}
  - {id: three, when: {sk_next_step: {is: two}}, set: {sk_next_step: three}}
"""
    assert codes(proven_text(text)) == []
    text += '  - {id: four, when: {sk_next_step: {is: three}}, set: {sk_next_step: ""}}\n'
    assert codes(proven_text(text)) == ["never-rests"]


# --- the solver -------------------------------------------------------------------------------------------------------


def test_formulas_are_put_together_as_logic_has_it() -> None:
    a, b = variable("a"), variable("b")
    assert (all_of([]), any_of([]), all_of([a, FALSE]), any_of([a, TRUE])) == (TRUE, FALSE, FALSE, TRUE)
    assert all_of([a, TRUE, a]) is a
    assert negated(negated(a)) is a
    for values in ({"a": x, "b": y} for x in (False, True) for y in (False, True)):
        assert is_true(all_of([a, negated(b)]), values) == (values["a"] and not values["b"])
        assert is_true(any_of([a, b]), values) == (values["a"] or values["b"])
    assert three_not(three_not(Three(a, b))) == Three(a, b)


def test_a_choice_is_always_one_of_its_things() -> None:
    choice = Choice("c", 5)
    solver = Solver(choice.law)
    found = [solver.model(choice.selects(number)) for number in range(5)]
    assert [choice.number(model or {}) for model in found] == list(range(5))
    assert not solver.can(all_of(negated(choice.selects(number)) for number in range(5)))
    assert not solver.can(choice.selects(1), choice.selects(2))


def test_a_core_holds_nothing_that_could_be_left_out() -> None:
    a, b, c = variable("a"), variable("b"), variable("c")
    solver = Solver(negated(all_of([a, b])))
    assert solver.core(any_of([a, c]), [c, a]) == ()
    assert solver.core(a, [c, negated(c), b, any_of([b, c])]) in ((0, 1), (2,))
    assert solver.core(a, [c, b]) == (1,)


def test_what_is_not_settled_in_time_is_said_and_not_guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    def give_up(self: Solver, *wanted: object) -> bool:
        raise Undecided

    monkeypatch.setattr(Solver, "can", give_up)
    document, _ = read_file(FOLDER / "never-wins-taken.yaml")
    assert document is not None
    pack, _ = check_pack(document)
    assert pack is not None
    found = prove(pack, document)
    assert found.findings == ()
    assert "whether stage rule 'buyer' can ever apply" in found.undecided


def test_only_one_module_imports_z3_and_not_at_its_top() -> None:
    assert importers("z3") == {"proving.solving"}
    assert "\nimport z3" not in Path(Solver.__init__.__code__.co_filename).read_text("utf-8")


def test_a_model_is_written_as_the_contact_that_it_stands_for() -> None:
    pack, _ = load_pack_text((FOLDER / "threshold-hole.yaml").read_text("utf-8"))
    assert pack is not None
    world = World(pack, catalogue(pack, now=PRESENT, forms=KNOWN_FORMS, strict=False))
    empty = written(world, {})
    assert (empty.subject, empty.known, empty.now) == (
        CaseSubject(properties={}, company={}, deals=()), Known(), PRESENT,
    )  # fmt: skip


# --- the command ------------------------------------------------------------------------------------------------------


def test_check_prints_a_problem_a_line_and_below_it_the_contact(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["check", str(FOLDER / "threshold-hole.yaml")]) == 0
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert re.match(r"\S+threshold-hole.yaml:8:55: threshold-hole: warning: ", lines[0])
    assert lines[3] == '    contact: {hubspotscore: "60"}'
    assert said.err == "0 errors, 1 warning\n"


def test_check_without_proofs_looks_at_the_shape_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["check", "--no-proofs", str(FOLDER)]) == 0
    assert capsys.readouterr() == ("", "0 errors, 0 warnings\n")


def test_check_without_z3_says_once_how_to_install_it_and_does_the_rest(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("connector.cli.check.is_installed", lambda: False)
    assert cli.run(["check", str(FOLDER)]) == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("pip install 'stagekeeper[prove]'") == 1
    assert said.err.endswith("0 errors, 0 warnings\n")
    assert cli.run(["check", str(FOLDER), "--no-proofs"]) == 0
    assert "install" not in capsys.readouterr().err
