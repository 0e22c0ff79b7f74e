"""What several tasks are held against in training, and the way between a head's units and the user's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from edgetl.data.balances import of_answers
from edgetl.tasks import Task, slices
from edgetl.transfer.goals import OneClass, Several, fold, unfolded
from edgetl.transfer.methods.feature_tasks import fit_tasks, fit_value

KIND = Task(name="kind", kind="classes", labels=("cat", "dog", "emu"))


def age(mean: float = 40.0, std: float = 12.0, spread: float = 10.0) -> Task:
    return Task(name="age", kind="value", mean=mean, std=std, spread=spread)


TASKS = (KIND, age())
ANSWERS = np.array([[0, 28.0], [1, 40.0], [2, 64.0]])


def exact() -> torch.Tensor:
    """Outputs that answer ``ANSWERS`` rightly, without doubt."""
    targets = Several(TASKS, {}).targets(ANSWERS)
    targets[:, :3] = 40 * targets[:, :3]
    return torch.from_numpy(targets)


@settings(deadline=None)
@given(st.floats(-1e4, 1e4), st.floats(1e-3, 1e4), st.integers(0, 99))
def test_a_folded_head_answers_in_the_users_units(mean: float, std: float, seed: int) -> None:
    tasks = (KIND, age(mean, std))
    torch.manual_seed(seed)
    head, features = nn.Linear(6, 4), torch.randn(5, 6)
    before = head(features).detach().numpy()
    fold(head, tasks)
    after = head(features).detach().numpy()
    assert np.allclose(after[:, :3], before[:, :3])
    assert np.allclose(after[:, 3], before[:, 3] * std + mean, rtol=1e-4, atol=1e-4 * std)
    weight, bias = (value.detach().numpy() for value in (head.weight, head.bias))
    again = features.numpy() @ (back := unfolded(weight, bias, tasks))[0].T + back[1]
    assert np.allclose(again, before, atol=2e-4 * (1 + abs(mean) / std))


@pytest.mark.parametrize("goal", [Several(TASKS, {}), Several((KIND,), {}), OneClass(None)])
def test_no_pictures_have_as_many_sums_as_some(goal: Several | OneClass) -> None:
    outputs, targets = (
        (exact(), torch.from_numpy(goal.targets(ANSWERS)))
        if isinstance(goal, Several)
        else (torch.eye(3), torch.arange(3))
    )
    assert len(goal.nothing) == len(goal.sums(outputs, targets))


def test_a_right_answer_scores_1_and_costs_next_to_nothing() -> None:
    goal = Several(TASKS, {})
    targets = torch.from_numpy(goal.targets(ANSWERS))
    assert float(goal.loss(exact(), targets, 0.0)) < 1e-6
    score, loss = goal.judge(goal.sums(exact(), targets))
    assert score == pytest.approx(1) and loss < 1e-6


def test_always_answering_as_far_off_as_the_spread_scores_nothing() -> None:
    goal = Several((age(),), {})
    off = goal.targets(ANSWERS[:, 1:] + 10.0)
    score, _ = goal.judge(goal.sums(torch.from_numpy(off), torch.from_numpy(goal.targets(ANSWERS[:, 1:]))))
    assert score == pytest.approx(0, abs=1e-6)


def test_sums_may_be_added_up_over_batches() -> None:
    goal = Several(TASKS, {"kind": (1.0, 2.0, 3.0)})
    outputs, targets = exact().flip(0), torch.from_numpy(goal.targets(ANSWERS))
    parts = [goal.sums(outputs[rows], targets[rows]) for rows in ([0], [1, 2])]
    whole = goal.sums(outputs, targets)
    assert goal.judge([sum(each) for each in zip(*parts)])[0] == pytest.approx(goal.judge(whole)[0])


def test_each_task_is_learnt_and_weights_are_of_its_own_classes() -> None:
    targets = torch.from_numpy(Several(TASKS, {}).targets(ANSWERS))
    wrong = exact().clone()
    wrong[0, :3] = torch.tensor([0.0, 8.0, 0.0])
    plain, heavy = Several(TASKS, {}), Several(TASKS, {"kind": (9.0, 1.0, 1.0)})
    assert float(heavy.loss(wrong, targets, 0.0)) > 1.5 * float(plain.loss(wrong, targets, 0.0))
    off = exact().clone()
    off[:, 3] += 1.0
    assert float(plain.loss(off, targets, 0.0)) == pytest.approx(
        0.25, abs=1e-4
    )  # Huber's half, a mean of two tasks
    outputs = (wrong + 0.5).requires_grad_()
    plain.loss(outputs, targets, 0.1).backward()
    assert outputs.grad is not None and all(
        float(outputs.grad[:, part].abs().sum()) > 0 for part in slices(TASKS)
    )


def test_one_class_is_judged_by_accuracy_weighed_as_it_is_trained() -> None:
    logits, labels = torch.tensor([[2.0, 0.0], [2.0, 0.0]]), torch.tensor([0, 1])
    assert OneClass(None).judge(OneClass(None).sums(logits, labels))[0] == 0.5
    weighed = OneClass(torch.tensor([3.0, 1.0]))
    assert weighed.judge(weighed.sums(logits, labels))[0] == 0.75


def test_classes_of_each_task_are_balanced_by_themselves() -> None:
    answers = np.array([[0, 1.0]] * 9 + [[1, 2.0]] * 3)
    found = of_answers("auto", (Task(name="kind", kind="classes", labels=("a", "b")), age()), answers)
    assert list(found.by_task) == ["kind"] and found.by_task["kind"].way == "weights"
    assert "kind: " in found.said() and found.notes()[0].startswith("kind: ")


@settings(max_examples=5, deadline=None)
@given(st.floats(0.01, 100), st.floats(-1e3, 1e3))
def test_a_value_is_fitted_in_any_unit(unit: float, shift: float) -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(120, 5)).astype(np.float32)
    plain = features @ np.array([1.0, -2.0, 0.5, 0.0, 3.0]) + rng.normal(0, 0.1, 120)
    first = fit_value(features, plain, 0)
    other = fit_value(features, unit * plain + shift, 0)
    assert other.strength == first.strength
    told = features @ other.weight.T + other.bias
    assert np.abs(told[:, 0] - (unit * plain + shift)).mean() < 0.6 * unit
    assert np.allclose(
        told[:, 0],
        unit * (features @ first.weight[0] + first.bias[0]) + shift,
        atol=1e-3 * (unit + abs(shift)),
    )


def test_heads_of_several_tasks_are_as_if_each_were_fitted_alone() -> None:
    rng = np.random.default_rng(1)
    features = rng.normal(size=(90, 4)).astype(np.float32)
    answers = np.stack([(features[:, 0] > 0) + 0.0, 50 + 9 * features[:, 1]], axis=1)
    tasks = (Task(name="kind", kind="classes", labels=("a", "b")), age())
    found = fit_tasks(features, answers, tasks, 0, weights={})
    assert [found[task.name].weight.shape for task in tasks] == [(2, 4), (1, 4)]
    assert (
        ((features @ found["kind"].weight.T + found["kind"].bias).argmax(1)) == answers[:, 0]
    ).mean() > 0.9
    assert np.abs(features @ found["age"].weight[0] + found["age"].bias[0] - answers[:, 1]).mean() < 2
