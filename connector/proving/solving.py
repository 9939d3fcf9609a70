"""The solver: asks z3 whether formulas can hold together. The only module that imports it, and only when it is asked.

z3 comes with the extra `prove` (`pip install "stagekeeper[prove]"`). A question that takes too long is answered by
`Undecided`, never by a guess. https://z3prover.github.io/api/html/namespacez3py.html
"""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from connector.errors import StagekeeperError
from connector.proving.formulas import Formula

SECONDS_PER_QUESTION = 5


class Undecided(StagekeeperError):
    """The solver has found no answer within its time."""

    code = "undecided"


def is_installed() -> bool:
    """Ask whether z3 is there."""
    return find_spec("z3") is not None


class Solver:
    """Formulas that must hold, and questions about what else can hold beside them."""

    def __init__(self, *laws: Formula, seconds: float = SECONDS_PER_QUESTION) -> None:
        import z3  # noqa: PLC0415 - an extra, and slow to import

        self._z3 = z3
        self._solver = z3.Solver()
        self._solver.set("timeout", max(1, int(seconds * 1000)))
        self._made: dict[int, tuple[Formula, Any]] = {}
        self._named: dict[str, Any] = {}
        self._proxies: dict[int, Any] = {}
        self.questions = 0
        for law in laws:
            self._solver.add(self._expression(law))

    def model(self, *wanted: Formula) -> Mapping[str, bool] | None:
        """Give values under which all of them hold, or None when there are none; raises Undecided."""
        if not self._check([self._proxy(formula) for formula in wanted]):
            return None
        model = self._solver.model()
        return {name: self._z3.is_true(model[made]) for name, made in self._named.items()}

    def can(self, *wanted: Formula) -> bool:
        """Ask whether all of them can hold together; raises Undecided."""
        return self._check([self._proxy(formula) for formula in wanted])

    def core(self, wanted: Formula, suspects: Sequence[Formula]) -> tuple[int, ...]:
        """Give the places of suspects that together keep the wanted one from holding, none of them dispensable."""
        proxies = [self._proxy(each) for each in suspects]
        goal = self._proxy(wanted)
        if self._check([goal, *proxies]):
            return ()
        inside = {expression.get_id() for expression in self._solver.unsat_core()}
        kept = [place for place, proxy in enumerate(proxies) if proxy.get_id() in inside]
        for place in list(kept):
            without = [each for each in kept if each != place]
            if not self._check([goal, *(proxies[each] for each in without)]):
                kept = without
        return tuple(kept)

    def _check(self, assumed: Sequence[Any]) -> bool:
        self.questions += 1
        answer = self._solver.check(*assumed)
        if answer == self._z3.unknown:
            raise Undecided(f"no answer ({self._solver.reason_unknown()})")
        return bool(answer == self._z3.sat)

    def _proxy(self, formula: Formula) -> Any:
        """Give a variable that stands for a formula, for z3 assumes variables only."""
        proxy = self._proxies.get(id(formula))
        if proxy is None:
            proxy = self._z3.Bool(f"?{len(self._proxies)}")
            self._proxies[id(formula)] = proxy
            self._solver.add(self._z3.Implies(proxy, self._expression(formula)))
        return proxy

    def _expression(self, formula: Formula) -> Any:
        known = self._made.get(id(formula))
        if known is None:  # the formula is kept beside what was made of it, so that its id is not given anew
            known = self._made[id(formula)] = (formula, self._new(formula))
        return known[1]

    def _new(self, formula: Formula) -> Any:
        match formula.kind:
            case "var":
                if formula.name not in self._named:
                    self._named[formula.name] = self._z3.Bool(formula.name)
                return self._named[formula.name]
            case "and":
                return self._z3.And(*map(self._expression, formula.parts))
            case "or":
                return self._z3.Or(*map(self._expression, formula.parts))
            case "not":
                return self._z3.Not(self._expression(formula.parts[0]))
        return self._z3.BoolVal(formula.kind == "true")
