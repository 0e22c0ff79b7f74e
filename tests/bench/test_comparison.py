"""The comparison's judges: a net against itself is no difference, a planted one is found."""

from __future__ import annotations

import math
from pathlib import Path

import msgspec
import numpy as np
import pytest

from edgetl import bench, digest
from edgetl.bench import comparison
from edgetl.bench.comparison import Comparison, Contender
from edgetl.bench.context import Context
from edgetl.bench.instance import Blocks, Pace
from edgetl.errors import EnvironmentLacks, InputError

MS = 1_000_000
QUICK = Pace(rounds=2, block_ms=4, least_runs=4, settle_ms=1, warm_seconds=0.01)


def instance(rng: np.random.Generator, slower: float) -> Blocks:
    """Blocks as a real machine gives them: each instance is off by 2 %, one in twenty by 8 %, blocks by 1 %."""

    def blocks(factor: float) -> list[list[int]]:
        own = math.exp(rng.normal(0, 0.02) + (0.08 if rng.random() < 0.05 else 0.0))
        return [[int(2 * MS * factor * own * math.exp(rng.normal(0, 0.01)))] * 5 for _ in range(8)]

    return {"a": blocks(1.0), "b": blocks(slower)}


def drawn(seed: int, slower: float, instances: int = 12) -> Comparison:
    """A comparison of simulated instances."""
    rng = np.random.default_rng([7, seed])
    rounds = tuple(instance(rng, slower) for _ in range(instances))
    return Comparison(baseline="a", instances=rounds, context=(Context(), Context()))


def test_a_net_against_itself_is_not_called_faster_or_slower() -> None:
    answers = [drawn(seed, 1.0).ratio("b").verdict for seed in range(400)]
    assert sum(answer in ("faster", "slower") for answer in answers) <= 4


@pytest.mark.parametrize(("slower", "answer"), [(1.06, "slower"), (0.94, "faster")])
def test_a_planted_difference_is_found(slower: float, answer: str) -> None:
    answers = [drawn(seed, slower).ratio("b").verdict for seed in range(200)]
    assert sum(found == answer for found in answers) >= 188


def test_the_interval_covers_the_true_ratio() -> None:
    intervals = [drawn(seed, 1.03).ratio("b").ci95 for seed in range(400)]
    assert np.mean([low <= 1.03 <= high for low, high in intervals]) >= 0.93


def test_one_lucky_instance_does_not_move_the_ratio() -> None:
    calm = drawn(3, 1.0)
    wild = {"a": calm.instances[0]["a"], "b": [[ns // 2 for ns in block] for block in calm.instances[0]["b"]]}
    moved = msgspec.structs.replace(calm, instances=(wild, *calm.instances[1:]))
    assert abs(moved.ratio("b").ratio - calm.ratio("b").ratio) < 0.02


def test_ratios_between_any_two_are_inverse() -> None:
    found = drawn(5, 1.2)
    assert found.ratio("b", "a").ratio * found.ratio("a", "b").ratio == pytest.approx(1)


@pytest.mark.parametrize(
    ("ci95", "answer"),
    [
        ((0.90, 0.98), "faster"),
        ((0.97, 0.995), "no difference"),
        ((0.99, 1.01), "no difference"),
        ((1.02, 1.30), "slower"),
        ((0.90, 1.10), "cannot tell"),
        ((0.95, 0.995), "cannot tell"),
    ],
)
def test_the_four_answers(ci95: tuple[float, float], answer: str) -> None:
    assert comparison.verdict(ci95) == answer


def test_more_instances_are_drawn_only_while_it_cannot_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    noisy, clear = np.random.default_rng(0), iter(range(100))

    def fresh(*_: object) -> Blocks:
        k = next(clear)
        spread = 0.2 if k < 12 else 0.001
        wide = [[int(MS * math.exp(noisy.normal(0, spread)))] * 5 for _ in range(4)]
        return {"a": [[MS] * 5] * 4, "b": wide}

    monkeypatch.setattr(comparison, "fresh", fresh)
    seen: list[tuple[int, int]] = []
    both = {"a": Contender(opener="x:y"), "b": Contender(opener="x:y")}
    found = comparison.compare(both, baseline="a", on_progress=lambda done, total: seen.append((done, total)))
    assert 12 < len(found.instances) <= 20
    assert seen[0] == (1, 12)
    assert seen[-1][0] == len(found.instances)
    once = comparison.compare(both, baseline="a", instances=12, seconds=0)
    assert len(once.instances) == 12


def test_a_contender_that_decides_nothing_draws_no_more_instances(monkeypatch: pytest.MonkeyPatch) -> None:
    noisy = np.random.default_rng(0)

    def fresh(*_: object) -> Blocks:
        wide = [[int(MS * math.exp(noisy.normal(0, 0.3)))] * 5 for _ in range(4)]
        return {"a": [[MS] * 5] * 4, "b": wide, "c": [[MS // 2] * 5] * 4}

    monkeypatch.setattr(comparison, "fresh", fresh)
    three = {name: Contender(opener="x:y") for name in "abc"}
    assert len(comparison.compare(three, baseline="a", until=["c"]).instances) == 12
    assert len(comparison.compare(three, baseline="a").instances) == 20


@pytest.mark.parametrize(
    ("names", "baseline", "instances"), [(["a"], "a", 12), (["a", "b"], "c", 12), (["a", "b"], "a", 1)]
)
def test_what_cannot_be_compared_is_refused(names: list[str], baseline: str, instances: int) -> None:
    with pytest.raises(InputError, match="two contenders"):
        bench.compare({n: Contender(opener="x:y") for n in names}, baseline=baseline, instances=instances)


def test_fresh_processes_find_which_call_is_longer() -> None:
    contenders = {
        name: Contender(opener="tests.bench.openers:recorded", arguments={"microseconds": microseconds})
        for name, microseconds in (("short", 200), ("long", 400))
    }
    found = bench.compare(contenders, baseline="short", instances=3, most_instances=3, pace=QUICK)
    assert found.ratio("long").ratio == pytest.approx(2)
    assert found.ratio("long").verdict == "slower"
    assert found.latency_ms("short")["p50"] == pytest.approx(0.2)
    assert [len(blocks) for instance in found.instances for blocks in instance.values()] == [4] * 6
    assert msgspec.json.decode(digest.canonical_json(found), type=Comparison) == found


def test_processes_share_a_cache_that_is_gone_afterwards(tmp_path: Path) -> None:
    log = tmp_path / "log"
    takes = Contender(opener="tests.bench.openers:keeping", arguments={"log": str(log)}, cacheable=True)
    plain = Contender(opener="tests.bench.openers:recorded", arguments={"microseconds": 100})
    bench.compare(
        {"takes": takes, "plain": plain}, baseline="plain", instances=2, most_instances=2, pace=QUICK
    )
    (first, before), (second, after) = (line.split() for line in log.read_text().splitlines())
    assert (before, after) == ("0", "1")
    assert first == second
    assert not Path(first).exists()


def test_a_contender_that_cannot_be_opened_is_told_in_its_own_words() -> None:
    contenders = {
        "a": Contender(opener="tests.bench.openers:recorded", arguments={"microseconds": 100}),
        "b": Contender(opener="tests.bench.openers:refuse"),
    }
    with pytest.raises(EnvironmentLacks, match="no such device here"):
        bench.compare(contenders, baseline="a", instances=2, pace=QUICK)


def test_the_public_functions_are_functions_whatever_was_imported_before() -> None:
    assert callable(bench.compare)
    assert callable(bench.measure)
    with pytest.raises(AttributeError, match="nothing"):
        bench.nothing  # noqa: B018
