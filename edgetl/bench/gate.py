"""The gate: whether a candidate is slower than its baseline by more than a tolerance.

An instance of an engine is fast or slow for its whole life, so the instance is the unit: each pair is a fresh process
with a fresh instance of either side, timed in mirrored turns, and counts as one log ratio. Both come from one
distribution where nothing changed, so their difference is symmetric about the truth whatever that distribution is, as
Wilcoxon's signed ranks want it. ``sequential`` says when to look, and keeps the chance of a wrong answer.
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from edgetl import stats
from edgetl.bench import activity, context, sequential
from edgetl.bench import clock as clocks
from edgetl.bench.activity import Shares
from edgetl.bench.clock import Clock
from edgetl.bench.comparison import Contender, cached, fresh, log_ratio, log_time
from edgetl.bench.context import Context
from edgetl.bench.fingerprint import Host, Subject
from edgetl.bench.instance import Blocks, Pace
from edgetl.bench.measurement import PERCENTILES, Percentiles, percentiles_ms
from edgetl.bench.sequential import MISS, Course, Look, Paired, Sample, Unpaired
from edgetl.errors import Cancelled, EdgetlError, EnvironmentLacks, GateFailed, NotComparable
from edgetl.pipeline import Progress, Silent
from edgetl.types import Percentile, Record
from edgetl.words import counted

__all__ = [
    "BASELINE",
    "CANDIDATE",
    "ITSELF",
    "Draw",
    "Rule",
    "Stored",
    "Trial",
    "Verdict",
    "judge",
    "pace_of",
    "percent",
    "run",
    "span",
    "unstarted",
]

CANDIDATE, BASELINE = "candidate", "baseline"
AGAIN = {CANDIDATE: "candidate again", BASELINE: "baseline again"}
ITSELF = 8
"""Pairs of an engine with itself that come first: they say how far chance alone drives two instances apart."""
ROUNDS = 3
Draw = Callable[[Mapping[str, Contender], Pace, "Mapping[str, str] | None"], Blocks]
"""Makes the blocks of one pair, in an order and at a pace, in a process with these variables."""
Said = Literal["pass", "fail", "inconclusive", "partial"]


class Rule(Record, frozen=True, kw_only=True):
    """What is asked.

    Attributes
    ----------
    tolerance : share by which the candidate may be slower. metric : the percentile that is compared.
    seconds : budget of time, all of it included. seed : of the order in which instances are opened and timed.
    models : gates that share the chance of a false FAIL.
    """

    tolerance: float = 0.03
    metric: Percentile = "p50"
    seconds: float = 300.0
    seed: int = 0
    models: int = 1


class Stored(Record, frozen=True, kw_only=True):
    """Fresh instances of one engine, kept to be a baseline later.

    Attributes
    ----------
    name : of the bundle. subject, host : what whoever compares must share. pace : how they were timed.
    instances : of each, blocks of nanoseconds, two a mirrored turn; an instance of another engine took the other turns.
    """

    name: str
    subject: Subject
    host: Host
    pace: Pace
    instances: tuple[list[list[int]], ...]


@dataclass
class Trial:
    """What one gate measured; the verdict is made on reading.

    Attributes
    ----------
    itself : blocks of pairs of one engine with itself. pairs : of candidate and baseline.
    usual : seconds of each of them but the first of either kind, which fills the cache that the others open from.
    spread : standard deviation of the log ratio of an engine with itself, robust; ``None`` before it is known.
    resolution : share that the interval can be narrowed to within the time, either way, about.
    problem : what ended it early. seconds : that it took. context : the host before and after.
    shares : what others had of the processors meanwhile.
    """

    rule: Rule
    pace: Pace
    stored: Stored | None
    course: Course
    itself: list[Blocks] = field(default_factory=list)
    pairs: list[Blocks] = field(default_factory=list)
    usual: list[float] = field(default_factory=list)
    spread: float | None = None
    resolution: float | None = None
    problem: EdgetlError | None = None
    seconds: float = 0.0
    context: tuple[Context, Context] = (Context(), Context())
    shares: Shares | None = None

    def sample(self) -> Sample:
        """What the pairs say of candidate over baseline."""
        q = PERCENTILES[self.rule.metric]
        if self.stored is None:
            return Paired([log_ratio(pair[CANDIDATE], pair[BASELINE], q) for pair in self.pairs])
        return Unpaired(
            [log_time(pair[CANDIDATE], q) for pair in self.pairs],
            [log_time(blocks, q) for blocks in self.stored.instances],
        )

    def ratios(self) -> list[float]:
        """Candidate over baseline of each pair; none where the baseline was stored, and nothing took turns with it."""
        if self.stored is not None:
            return []
        q = PERCENTILES[self.rule.metric]
        return [math.exp(log_ratio(pair[CANDIDATE], pair[BASELINE], q)) for pair in self.pairs]

    def instances(self, side: str) -> list[list[list[int]]]:
        """The blocks of every instance of the candidate or the baseline that the answer is made of."""
        if side == BASELINE and self.stored is not None:
            return [list(blocks) for blocks in self.stored.instances]
        return [pair[side] for pair in self.pairs]

    def latency_ms(self, side: str) -> Percentiles:
        """``p50``, ``p90``, ``p99`` over all runs of a side, ``None`` without support, and ``n``."""
        return percentiles_ms([ns for blocks in self.instances(side) for block in blocks for ns in block])

    def timed_seconds(self) -> float:
        """Time inside timed blocks, those of an engine with itself included; the rest is processes that start."""
        every = [
            block for pair in (*self.itself, *self.pairs) for blocks in pair.values() for block in blocks
        ]
        return sum(map(sum, every)) / 1e9

    @property
    def look(self) -> Look | None:
        """The last look; ``None`` where there was none."""
        return self.course.looks[-1] if self.course.looks else None


class Verdict(Record, frozen=True, kw_only=True):
    """What one gate of several came to.

    Attributes
    ----------
    said : ``partial`` where the trial ended early without an answer. sentence : it in words.
    p : chance of a candidate so slow, if it were slower by the tolerance exactly; over all looks, and raised by Holm's
        rule where several models are judged together.
    """

    said: Said
    sentence: str
    p: float


def pace_of(metric: Percentile) -> Pace:
    """Blocks so short as the metric allows: instances differ more than the blocks of one.

    Twice the time a block gave the same spread of pairs. A median takes 11 runs a block; of p90 and p99 every instance
    has the support, over its blocks together.
    """
    needed = stats.percentile_support(PERCENTILES[metric])
    least = needed if metric == "p50" else math.ceil(needed / (2 * ROUNDS))
    return Pace(rounds=ROUNDS, block_ms=30.0, least_runs=least, most_runs=max(200, least), warm_seconds=0.1)


def run(
    candidate: Contender,
    baseline: Contender | Stored,
    rule: Rule,
    *,
    name: str = "",
    env: Mapping[str, str] | None = None,
    clock: Clock = clocks.system,
    progress: Progress | None = None,
    draw: Draw = fresh,
) -> Trial:
    """Draw pairs until they tell, or the time is over; what was measured is kept however it ends.

    Parameters
    ----------
    baseline : an engine here, or instances of an earlier one. Against those the candidate's instances are paired with
        one another, so that they are timed as the stored ones were.
    name : of the model, for the progress.
    draw : makes the blocks of one pair; ``comparison.fresh``, or a recording of it.
    """
    trial = _empty(rule, baseline)
    begun, before, began = clock(), context.read(), activity.read()

    def elapsed() -> float:
        return (clock() - begun) / 1e9

    pairs = _Drawing(draw, trial.pace, env, random.Random(rule.seed))
    sides = {CANDIDATE: candidate, **({BASELINE: baseline} if isinstance(baseline, Contender) else {})}
    try:
        with cached(sides) as drawn:
            _measure(trial, drawn, pairs, name, elapsed, progress or Silent())
    except (EdgetlError, OSError, KeyboardInterrupt) as stop:
        trial.problem = _stopped(stop)
    trial.seconds, trial.context = elapsed(), (before, context.read())
    trial.shares = activity.between(began, activity.read())
    return trial


def unstarted(baseline: Contender | Stored, rule: Rule, stop: BaseException) -> Trial:
    """A trial that something ended before its first pair, so that it stands beside those that were whole."""
    trial, now = _empty(rule, baseline), context.read()
    trial.problem, trial.context = _stopped(stop), (now, now)
    return trial


def _empty(rule: Rule, baseline: Contender | Stored) -> Trial:
    return Trial(
        rule, pace_of(rule.metric), baseline if isinstance(baseline, Stored) else None,
        Course(rule.tolerance, rule.models),
    )  # fmt: skip


def _measure(
    trial: Trial,
    sides: Mapping[str, Contender],
    pairs: _Drawing,
    name: str,
    elapsed: Callable[[], float],
    progress: Progress,
) -> None:
    twice = {CANDIDATE: sides[CANDIDATE], AGAIN[CANDIDATE]: sides[CANDIDATE]}
    if BASELINE in sides:
        stage, begun = f"itself:{name}", elapsed()
        progress.started(stage)
        before = begun
        for pair in pairs({BASELINE: sides[BASELINE], AGAIN[BASELINE]: sides[BASELINE]}):
            now = _drawn(trial, trial.itself, pair, before, elapsed())
            progress.advanced(stage, len(trial.itself), ITSELF)
            if len(trial.itself) == ITSELF or now > trial.rule.seconds:
                break
            before = now
        _resolve(trial, trial.itself, BASELINE, elapsed())
        progress.finished(stage, {"summary": _resolved(trial)}, elapsed() - begun, False)
        twice = dict(sides)
    stage, begun = f"pairs:{name}", elapsed()
    progress.started(stage)
    before = begun
    for pair in pairs(twice):
        before = _drawn(trial, trial.pairs, pair, before, elapsed())
        progress.advanced(stage, len(trial.pairs), max(trial.course.next, len(trial.pairs)))
        if len(trial.pairs) == trial.course.next:
            trial.course.look(trial.sample())
            if trial.stored is not None:
                _resolve(trial, trial.pairs, CANDIDATE, elapsed())
            progress.remarked(stage, _looked(trial))
            if trial.course.slower or trial.course.held:
                break
        if not _fits(trial, before):
            break
    progress.finished(stage, {"summary": _looked(trial)}, elapsed() - begun, False)


class _Drawing:
    """Pairs without end, each opened and timed in an order of its own."""

    def __init__(self, draw: Draw, pace: Pace, env: Mapping[str, str] | None, rng: random.Random) -> None:
        self._draw, self._pace, self._env, self._rng = draw, pace, env, rng

    def __call__(self, contenders: Mapping[str, Contender]) -> Iterator[Blocks]:
        while True:
            order = self._rng.sample(sorted(contenders), len(contenders))
            blocks = self._draw({name: contenders[name] for name in order}, self._pace, self._env)
            for name, found in blocks.items():
                shortest = min(min(block) for block in found)
                if shortest <= 0:
                    raise EnvironmentLacks(
                        f"a run of the {name} took {shortest} ns: the clock of this host cannot time it",
                        hint="a larger batch or network, or another clock source",
                    )
            yield blocks


def _stopped(stop: BaseException) -> EdgetlError:
    if isinstance(stop, GateFailed) and stop.facts.get("contender") in (BASELINE, AGAIN[BASELINE]):
        return NotComparable(stop.problem, hint="a baseline whose answers are numbers")
    if isinstance(stop, EdgetlError):
        return stop
    if isinstance(stop, OSError):
        return EnvironmentLacks(str(stop), hint="check the space left, and what else runs on this host")
    return Cancelled("interrupted", hint="what was measured until then is kept, marked partial")


def _resolve(trial: Trial, pairs: Sequence[Blocks], side: str, elapsed: float) -> None:
    """What chance makes of two instances of one engine, whose log ratio is 0 in truth, and what it lets be told."""
    q = PERCENTILES[trial.rule.metric]
    logs = [log_ratio(pair[side], pair[AGAIN[side]], q) for pair in pairs]
    trial.spread = 1.4826 * statistics.median(map(abs, logs))
    left = max(trial.rule.seconds - elapsed, 0.0)
    more = int(left / (elapsed / len(pairs))) if elapsed > 0 else 0
    trial.resolution = sequential.half_width(trial.spread, len(trial.pairs) + more)


def _drawn(trial: Trial, kind: list[Blocks], pair: Blocks, before: float, now: float) -> float:
    """Keep a pair, and how long it took where that says how long others will; the time that it is now."""
    if kind:
        trial.usual.append(now - before)
    kind.append(pair)
    return now


def _fits(trial: Trial, elapsed: float) -> bool:
    """Whether the next look is reached in time, at the usual pace; one pair alone says nothing of that."""
    missing = trial.course.next - len(trial.pairs)
    usual = statistics.mean(trial.usual) if trial.usual else 0.0
    return elapsed + missing * usual <= trial.rule.seconds


def _resolved(trial: Trial) -> str:
    assert trial.spread is not None and trial.resolution is not None
    return (
        f"{counted(len(trial.itself), 'pair')} of the baseline with itself, {100 * trial.spread:.1f} % apart: "
        f"about {100 * trial.resolution:.1f} % can be told"
    )


def _looked(trial: Trial) -> str:
    pairs = counted(len(trial.pairs), "pair")
    look = trial.look
    return pairs if look is None else f"{pairs}, {percent(look.ratio)} {span(look)}"


def percent(ratio: float) -> str:
    """A ratio as a signed difference in percent.

    >>> percent(1.043)
    '+4.3 %'
    """
    return f"{100 * (ratio - 1):+.1f} %"


def span(look: Look) -> str:
    """The interval of a look, in percent."""
    if look.interval is None:
        return "[n/a]"
    low, high = (100 * (bound - 1) for bound in look.interval)
    return f"[{low:+.1f}, {high:+.1f}]"


def judge(trials: Sequence[Trial]) -> list[Verdict]:
    """One verdict a trial. FAIL is held against the level of all of them together, by Holm's rule.

    Those that were asked for and never began count as if nothing spoke against them: an interruption makes no FAIL.

    PASS needs no such rule: who says that all are within the tolerance is wrong only where one is wrongly said to be
    (Berger 1982, Technometrics 24:295-300).
    """
    missing = max((trial.rule.models for trial in trials), default=0) - len(trials)
    raised = stats.holm([*(trial.course.p for trial in trials), *[1.0] * missing])
    return [_judged(trial, p) for trial, p in zip(trials, raised)]


def _judged(trial: Trial, p: float) -> Verdict:
    rule, look = trial.rule, trial.look
    limit = f"the tolerance of {100 * rule.tolerance:g} %"
    if isinstance(trial.problem, GateFailed):
        return Verdict(said="fail", sentence=trial.problem.problem, p=p)
    if look is None:
        over = "is over" if trial.seconds >= rule.seconds else "does not last until then"
        budget = f"the time budget of {rule.seconds:g} s {over}"
        why = budget if trial.problem is None else trial.problem.problem
        told = (
            f"{counted(len(trial.pairs), 'pair')} of the {trial.course.next} that a first look takes: {why}"
        )
        return Verdict(said="inconclusive" if trial.problem is None else "partial", sentence=told, p=p)
    told = f"{percent(look.ratio)} at {rule.metric}, interval {span(look)} %"
    if p <= MISS:
        return Verdict(said="fail", sentence=f"{told}: slower by more than {limit}", p=p)
    if trial.problem is not None:
        return Verdict(said="partial", sentence=f"{told} when it ended: {trial.problem.problem}", p=p)
    if trial.course.held:
        return Verdict(said="pass", sentence=f"{told}: within {limit}", p=p)
    why = f"{len(trial.pairs)} pairs in {trial.seconds:.0f} s cannot tell it from {limit}"
    return Verdict(said="inconclusive", sentence=f"{told}: {why}", p=p)
