"""The gate's judges: an engine against itself passes, a planted slow-down fails, and what ends early is kept."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edgetl.bench import gate
from edgetl.bench.comparison import Contender, of_engine
from edgetl.bench.context import Context
from edgetl.bench.fingerprint import Host, Subject
from edgetl.bench.gate import Rule, Stored, Trial
from edgetl.bench.instance import Blocks, Pace
from edgetl.errors import (
    BackendError,
    Cancelled,
    EdgetlError,
    EnvironmentLacks,
    GateFailed,
    NotComparable,
)
from edgetl.testing import RecordedClock
from tests.bench.gated import Machine

ENGINE = Contender(opener="nobody:opens")


class Slow:
    """A clock on which every look at the time costs so many seconds."""

    def __init__(self, seconds: float) -> None:
        self._ns, self._step = 0, int(seconds * 1e9)

    def __call__(self) -> int:
        """Later than before."""
        self._ns += self._step
        return self._ns


def tried(machine: Any, rule: Rule | None = None, baseline: Contender | Stored = ENGINE, **how: Any) -> Trial:
    """A gate over a machine."""
    return gate.run(ENGINE, baseline, rule or Rule(), draw=machine, **how)


def said(trial: Trial) -> str:
    """Its verdict alone."""
    return gate.judge([trial])[0].said


@pytest.mark.parametrize("metric", ["p50", "p90", "p99"])
def test_an_engine_against_itself_passes_and_says_what_the_machine_resolves(metric: Any) -> None:
    trial = tried(Machine(), Rule(metric=metric))
    assert said(trial) == "pass"
    assert len(trial.itself) == gate.ITSELF
    assert trial.spread is not None and 0 < trial.spread < 0.06
    assert trial.resolution is not None and 0 < trial.resolution < 0.03
    assert trial.latency_ms(gate.CANDIDATE)["p50"] == pytest.approx(2, rel=0.05)


def test_false_alarms_and_misses_are_rare() -> None:
    same = [said(tried(Machine(1.0, seed))) for seed in range(60)]
    slower = [said(tried(Machine(1.08, seed))) for seed in range(60)]
    assert same.count("fail") == 0 and same.count("pass") >= 58
    assert slower.count("pass") == 0 and slower.count("fail") >= 58


def test_what_is_at_the_tolerance_is_inconclusive_when_the_time_is_over() -> None:
    trial = tried(Machine(1.03), Rule(seconds=100.0), clock=Slow(1.0))
    assert said(trial) == "inconclusive"
    assert "cannot tell it from the tolerance of 3 %" in gate.judge([trial])[0].sentence


def test_no_time_for_a_first_look_says_so() -> None:
    trial = tried(Machine(), Rule(seconds=3.0), clock=Slow(1.0))
    assert said(trial) == "inconclusive"
    assert "the time budget of 3 s is over" in gate.judge([trial])[0].sentence


class Cold(Machine):
    """The first pair of an engine with itself, and the first of both, take long: they fill the cache."""

    def __init__(self, cold: float, usual: float) -> None:
        super().__init__()
        self.clock, self._cold, self._usual = RecordedClock(), cold, usual
        self._seen: set[str] = set()

    def __call__(
        self, contenders: Mapping[str, Contender], pace: Pace, env: Mapping[str, str] | None
    ) -> Blocks:
        """One pair, and the time that it takes."""
        new = set(contenders) - self._seen
        self._seen |= new
        self.clock.now += int(1e9 * (self._cold if new else self._usual))
        return super().__call__(contenders, pace, env)


@pytest.mark.parametrize("against_stored", [False, True])
def test_a_first_pair_that_fills_the_cache_does_not_end_the_gate(against_stored: bool) -> None:
    machine = Cold(cold=45.0, usual=2.0)
    baseline = stored(tried(Machine(1.0, 1))) if against_stored else ENGINE
    trial = tried(machine, Rule(seconds=180.0), baseline, clock=machine.clock)
    assert said(trial) == "pass"
    assert trial.seconds <= 180


def test_a_gate_ends_early_where_the_next_look_is_out_of_reach_and_says_so() -> None:
    machine = Cold(cold=20.0, usual=10.0)
    trial = tried(machine, Rule(seconds=150.0), clock=machine.clock)
    assert said(trial) == "inconclusive"
    assert 90 <= trial.seconds < 150
    told = gate.judge([trial])[0].sentence
    assert "of the 8 that a first look takes: the time budget of 150 s does not last until then" in told


def test_an_engine_with_itself_takes_no_longer_than_there_is_time() -> None:
    machine = Machine()
    trial = tried(machine, Rule(seconds=3.0), clock=Slow(1.0))
    assert len(trial.itself) < gate.ITSELF
    assert machine.drawn == len(trial.itself) + 1


def test_a_pair_that_is_far_off_moves_nothing() -> None:
    class Hiccup(Machine):
        def __call__(
            self, contenders: Mapping[str, Contender], pace: Pace, env: Mapping[str, str] | None
        ) -> Blocks:
            found = super().__call__(contenders, pace, env)
            if self.drawn == 11:
                found = {
                    name: [[9 * ns for ns in block] for block in found[name]]
                    if name == gate.CANDIDATE
                    else found[name]
                    for name in found
                }
            return found

    assert said(tried(Hiccup())) == "pass"


class Dies(Machine):
    """Raises instead of its n-th pair."""

    def __init__(self, at: int, error: BaseException) -> None:
        super().__init__(1.02)
        self._at, self._error = at, error

    def __call__(
        self, contenders: Mapping[str, Contender], pace: Pace, env: Mapping[str, str] | None
    ) -> Blocks:
        """One pair, or the end."""
        if self.drawn + 1 == self._at:
            raise self._error
        return super().__call__(contenders, pace, env)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (BackendError("the device is gone"), BackendError),
        (KeyboardInterrupt(), Cancelled),
        (OSError("no space left on device"), EnvironmentLacks),
    ],
)
@pytest.mark.parametrize("at", [3, 12, 18])
def test_what_was_measured_before_the_end_is_kept_and_marked(
    error: BaseException, kind: type[EdgetlError], at: int
) -> None:
    trial = tried(Dies(at, error))
    assert isinstance(trial.problem, kind)
    assert len(trial.itself) + len(trial.pairs) == at - 1
    assert said(trial) == "partial"


def test_a_candidate_that_answers_nan_fails_and_a_baseline_is_not_comparable() -> None:
    wild = [GateFailed(f"the {who} answers NaN", contender=who) for who in (gate.CANDIDATE, gate.BASELINE)]
    candidate, baseline = (tried(Dies(12, error)) for error in wild)
    assert said(candidate) == "fail"
    assert isinstance(baseline.problem, NotComparable)


def test_a_run_that_took_no_time_is_refused() -> None:
    def stopped(contenders: Mapping[str, Contender], *_: object) -> Blocks:
        return {name: [[0, 1, 1]] * 6 for name in contenders}

    trial = tried(stopped)
    assert isinstance(trial.problem, EnvironmentLacks)
    assert "took 0 ns" in trial.problem.problem


def stored(trial: Trial) -> Stored:
    """The candidate's instances, as a baseline."""
    return Stored(
        name="net",
        subject=Subject(device="local", processor="CPU", inputs=(), threads=None),
        host=msgspec.convert({**dict.fromkeys(Host.__struct_fields__), "isa": [], "versions": {}}, Host),
        pace=trial.pace,
        instances=tuple(trial.instances(gate.CANDIDATE)),
    )


@pytest.mark.parametrize(("slower", "verdict"), [(1.0, "pass"), (1.08, "fail")])
def test_a_stored_baseline_is_as_good_and_has_no_pairs(slower: float, verdict: str) -> None:
    before = stored(tried(Machine(1.0, 1), Rule(tolerance=0.005, seconds=90.0), clock=Slow(0.4)))
    trial = tried(Machine(slower, 2), baseline=before)
    assert said(trial) == verdict
    assert trial.itself == [] and trial.ratios() == []
    assert trial.latency_ms(gate.BASELINE)["n"] > 0


def test_several_models_are_judged_by_holms_rule() -> None:
    """One that barely fails alone does not among twenty."""
    alone = [tried(Machine(1.055, seed), Rule(seconds=60.0), clock=Slow(1.0)) for seed in range(12)]
    barely = [trial for trial in alone if 0.001 < trial.course.p <= 0.025]
    assert barely, "the simulation has one"
    calm = [tried(Machine(1.0, seed)) for seed in range(19)]
    assert gate.judge([barely[0]])[0].said == "fail"
    among = gate.judge([barely[0], *calm])
    assert among[0].p > barely[0].course.p
    assert among[0].said != "fail"
    assert {one.said for one in among[1:]} == {"pass"}


def test_an_end_in_the_first_of_several_models_does_not_decide_at_the_level_of_one() -> None:
    rule = Rule(seconds=60.0, models=3)
    trials = (tried(Machine(1.05, seed), rule, clock=Slow(1.0)) for seed in range(20))
    barely = next(trial for trial in trials if 0.025 / 3 < trial.course.p <= 0.025)
    barely.problem = Cancelled("interrupted")
    verdict = gate.judge([barely])[0]
    assert verdict.said == "partial"
    assert verdict.p == pytest.approx(3 * barely.course.p)


def test_the_order_of_turns_is_drawn_and_repeats_with_its_seed() -> None:
    def orders(seed: int) -> list[tuple[str, ...]]:
        machine, seen = Machine(), []

        def watched(contenders: Mapping[str, Contender], pace: Pace, env: Any) -> Blocks:
            seen.append(tuple(contenders))
            return machine(contenders, pace, env)

        tried(watched, Rule(seed=seed))
        return seen

    assert orders(0) == orders(0)
    assert len(set(orders(0))) == 4, "both orders of the baseline with itself, and of the pairs"


def test_instances_of_both_sides_share_a_cache_that_is_gone_afterwards() -> None:
    machine = Machine()
    seen: set[str] = set()

    def watched(contenders: Mapping[str, Contender], pace: Pace, env: Any) -> Blocks:
        seen.update(one.arguments["cache"] for one in contenders.values())
        assert all(Path(one.arguments["cache"]).is_dir() for one in contenders.values())
        return machine(contenders, pace, env)

    engine = of_engine(Path("engine"))
    gate.run(engine, engine, Rule(), draw=watched)
    (cache,) = seen
    assert not Path(cache).exists()
    assert "cache" not in engine.arguments, "memory and energy are measured without it"


def test_every_instance_of_p99_has_its_support() -> None:
    for metric, needed in (("p90", 64), ("p99", 662)):
        pace = gate.pace_of(metric)  # type: ignore[arg-type]
        assert 2 * pace.rounds * pace.least_runs >= needed
        assert pace.most_runs >= pace.least_runs


def test_the_host_is_looked_at_before_and_behind() -> None:
    before, behind = tried(Machine()).context
    assert isinstance(before, Context) and before.cpu == behind.cpu
