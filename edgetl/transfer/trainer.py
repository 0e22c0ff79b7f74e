"""The training loop: cosine rates with warm-up, early stop, the best epoch kept, every epoch resumable."""

from __future__ import annotations

import io
import math
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from torch import Tensor

from edgetl import isolate
from edgetl.data.balances import of_answers
from edgetl.data.imbalance import decide
from edgetl.data.layout import Dataset, Sample
from edgetl.errors import GateFailed, InputError
from edgetl.processes import Processes, check_batch
from edgetl.transfer import backbone, checkpoint, distributed
from edgetl.transfer import teacher as teachers
from edgetl.transfer.augment import Augmenter, Batches, normalise
from edgetl.transfer.backbone import Net
from edgetl.transfer.checkpoint import Checkpoint
from edgetl.transfer.distributed import Group
from edgetl.transfer.fastpath import FastPath
from edgetl.transfer.goals import Goal, OneClass, Several, fold
from edgetl.transfer.methods import choice
from edgetl.transfer.methods.known import TEACHER
from edgetl.transfer.methods.seam import Lessons, Method
from edgetl.transfer.policy import alike_at_any_size, policy_for
from edgetl.transfer.taught import TaughtBatches, Teacher
from edgetl.types import BuildSpec, Preprocess

__all__ = ["Progress", "Trainer", "run_json"]

PATIENCE = 6
"""Epochs after which training stops where neither the accuracy nor the loss on the select images got better.

Accuracy alone goes up and down by chance while there is much to learn yet: the loss of some hundred pictures is the
steadier witness.
"""
PATIENT_SHARE = 5
"""A part of all epochs that is waited for in any case, one in so many: in the middle of a long training rates are high,
and what it learnt shows when they fall."""
WARM_UP = 0.1
STATE = "state.pt"
DIVERGED = "a lower --lr, or check --mean and --std"


@dataclass
class Progress:
    """Where a training is: the epochs done, what each measured, the best, and what ended it early, if something did.

    Attributes
    ----------
    best_epoch, best_accuracy, best_loss : of the epoch that stays. least_loss : of any.
    got_better : the last epoch that had the highest accuracy so far or the lowest loss.
    together : how several processes shared it.
    """

    epoch: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    best_epoch: int = 0
    best_accuracy: float = -1.0
    best_loss: float = math.inf
    least_loss: float = math.inf
    got_better: int = 0
    best: dict[str, Tensor] = field(default_factory=dict)
    diverged: str = ""
    together: str = ""

    def add(self, loss: float, accuracy: float, select_loss: float, *, stays: bool) -> bool:
        """Count an epoch and what it measured; whether its network is the one to keep.

        It is with a higher accuracy on the select images, or the same with a lower loss; or where it ``stays`` anyway.
        """
        self.epoch += 1
        self.history.append(
            {"epoch": self.epoch, "loss": loss, "accuracy": accuracy, "select_loss": select_loss}
        )
        best = stays or (accuracy, -select_loss) > (self.best_accuracy, -self.best_loss)
        if best:
            self.best_epoch, self.best_accuracy, self.best_loss = self.epoch, accuracy, select_loss
        if best or select_loss < self.least_loss:
            self.got_better = self.epoch
        self.least_loss = min(self.least_loss, select_loss)
        return best


class Trainer:
    """Trains a network by a method.

    Parameters
    ----------
    held : uint8 (N, H, W, 3) and targets (N, ...): the select images, which decide when to stop and which epoch stays.
    goal : by what they do; ``None``: accuracy, all classes alike.
    state : folder where a killed training finds its last whole epoch.
    keep_last : train to the end and keep the last epoch: where the network is for other pictures than ``held``, those
        cannot tell which epoch is best.
    group : the processes that train together; each has its part of ``batches``.
    """

    def __init__(
        self,
        net: Net,
        method: Method,
        batches: Lessons,
        held: tuple[Any, Any],
        preprocess: Preprocess,
        path: FastPath,
        *,
        epochs: int,
        seed: int,
        state: Path,
        goal: Goal | None = None,
        keep_last: bool = False,
        group: Group | None = None,
    ) -> None:
        self._group = group or Group()
        self._net = self._group.ready(net)
        self._method = method
        self._batches = batches
        self._held = held
        self._preprocess = preprocess
        self._path = path
        self._epochs = epochs
        self._seed = seed
        self._state = state
        self._goal = goal or OneClass(None)
        self._keep_last = keep_last
        self._net.to(path.device).to(memory_format=_form(path))
        self._optimizer = torch.optim.AdamW(method.prepare(self._net))
        steps = epochs * len(batches)
        self._schedule = torch.optim.lr_scheduler.LambdaLR(self._optimizer, lambda step: _rate(step, steps))
        self._scaler = torch.amp.GradScaler("cuda", enabled=path.autocast == "float16")

    def train(self) -> tuple[Net, Progress]:
        """Run to the last epoch, or until nothing gets better; the plain network of the best epoch.

        Raises
        ------
        GateFailed : a loss is not finite in the first epoch; later, the best epoch before it is kept.
        """
        done = self._resume()
        patience = max(PATIENCE, self._epochs // PATIENT_SHARE)
        while done.epoch < self._epochs and done.epoch - done.got_better < patience:
            try:
                loss = self._epoch(done.epoch)
                done.together = self._group.told(self._net)
                accuracy, held_loss = self._evaluate()
            except GateFailed as error:
                if not done.best:
                    raise
                done.diverged = (
                    f"{error.problem}; epoch {done.best_epoch}, the best before it, is kept: {error.hint}"
                )
                break
            if done.add(loss, accuracy, held_loss, stays=self._keep_last):
                done.best = {
                    name: tensor.detach().cpu().clone() for name, tensor in self._net.state_dict().items()
                }
            if self._group.leads:
                self._save(done)
                isolate.tick(done.epoch, self._epochs)
        self._net.load_state_dict(done.best)
        net = self._method.finish(self._net)
        return net.eval().cpu(), done

    def _epoch(self, number: int) -> float:
        """One pass over the train images; the mean loss.

        Seeded by its number, so that a resumed training draws what an unbroken one would have drawn.
        """
        torch.manual_seed(self._seed * 100_003 + number + self._group.rank * 1_000_000_007)
        self._method.start(self._net, number)
        train, total = self._group.step(self._net, self._method), 0.0
        for step, (pictures, targets) in enumerate(self._batches.epoch(number)):
            pixels = self._path.place(normalise(pictures, self._preprocess))
            with self._path.cast():
                loss = train(pixels, targets.to(self._path.device))
            loss, mean = self._group.weighed(loss, len(pictures))
            if not math.isfinite(mean):
                raise GateFailed(
                    f"the loss is {mean} in epoch {number + 1}, step {step + 1}: training diverged",
                    hint=DIVERGED,
                )
            self._scaler.scale(loss).backward()
            self._scaler.step(self._optimizer)
            self._scaler.update()
            self._optimizer.zero_grad()
            self._schedule.step()
            total += mean
        return total / len(self._batches)

    @torch.inference_mode()
    def _evaluate(self) -> tuple[float, float]:
        """Accuracy and mean loss on the select images, in float32 as the engine will be.

        Weighted where training is: nearly balanced accuracy, for select is drawn by class.
        """
        self._net.eval()
        self._group.settle(self._net)
        pictures, labels = self._held
        sums = np.array(self._goal.nothing)
        for start in self._group.part(range(0, len(labels), 32)):
            part = torch.from_numpy(np.array(pictures[start : start + 32])).permute(0, 3, 1, 2)
            targets = torch.from_numpy(labels[start : start + 32]).to(self._path.device)
            outputs = self._net(self._path.place(normalise(part, self._preprocess)))
            sums += self._goal.sums(outputs, targets)
        score, loss = self._goal.judge(self._group.total(*sums.tolist()))
        if not math.isfinite(loss):
            raise GateFailed(f"the loss on the select images is {loss}: training diverged", hint=DIVERGED)
        return score, loss

    def _save(self, done: Progress) -> None:
        self._state.mkdir(parents=True, exist_ok=True)
        partial = self._state / f"{STATE}.{os.getpid()}.partial"  # an orphan of a killed build may write too
        whole = {
            "progress": vars(done),
            "net": self._net.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "schedule": {"last_epoch": self._schedule.last_epoch},
            "scaler": self._scaler.state_dict(),
        }
        torch.save(whole, partial)
        partial.replace(self._state / STATE)

    def _resume(self) -> Progress:
        file = self._state / STATE
        kept = self._group.shared(file.read_bytes() if self._group.leads and file.exists() else b"")
        if not kept:
            return Progress()
        whole = torch.load(io.BytesIO(kept), map_location=self._path.device, weights_only=True)
        self._net.load_state_dict(whole["net"])
        self._optimizer.load_state_dict(whole["optimizer"])
        self._scaler.load_state_dict(whole["scaler"])
        self._schedule.last_epoch = whole["schedule"]["last_epoch"]
        return Progress(**whole["progress"])


def _form(path: FastPath) -> torch.memory_format:
    return torch.channels_last if path.channels_last else torch.contiguous_format


def _rate(step: int, steps: int) -> float:
    """Share of the full rate: linear warm-up, then half a cosine (Loshchilov and Hutter 2017, SGDR)."""
    warm = max(1, int(WARM_UP * steps))
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warm) / max(1, steps - warm))))


def run_json(
    spec: dict[str, Any],
    record: dict[str, Any],
    path: dict[str, Any],
    dataset: str,
    root: str,
    prepared: str,
    given: dict[str, str],
    out: str,
    state: str,
    threads: int,
    keep_last: bool = False,
    processes: dict[str, Any] | None = None,
    number: int = 0,
) -> dict[str, Any]:
    """Train in a process of its own and write the checkpoint; all arguments are JSON.

    Parameters
    ----------
    dataset : file of the samples. root : folder that their paths hang on. prepared : folder of the select arrays.
    given : folders of the other stages that the method reads, by name. keep_last : as in ``Trainer``.
    processes : fields of this one's ``Processes`` where several train together, for the ``number``-th time.
    """
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    request, facts = msgspec.convert(spec, BuildSpec), msgspec.convert(record, Checkpoint)
    fast = msgspec.convert(path, FastPath)
    samples = [
        s for s in msgspec.json.decode(Path(dataset).read_bytes(), type=Dataset).samples if s.role == "train"
    ]
    lesson = _lesson(request, facts, samples, Path(prepared))
    held = (np.load(f"{prepared}/select.npy", mmap_mode="r"), lesson.held)
    if not len(lesson.held):
        raise InputError("no picture is left to select on", hint="training stops by them: add some")
    size = min(request.batch_size, len(samples))
    if size < 2:
        raise InputError("a training step takes at least two pictures", hint="--batch-size 32")
    place = None if processes is None else msgspec.convert(processes, Processes)
    check_batch(size, place)
    made = backbone.create(request, len(facts.classes))
    teacher = teachers.load(Path(given[TEACHER]), fast, threads) if TEACHER in given else None
    folders = {name: Path(folder) for name, folder in given.items()}
    with distributed.join(place, number, fast.device) as group:
        method = choice.of(
            request,
            facts.preprocess.height,
            folders,
            lesson.weights,
            pretrained=made.pretrained,
            tasks=facts.tasks or (),
            goal=lesson.goal if facts.tasks else None,
            counted=group.counted,
        )
        trainer = Trainer(
            made.net,
            method,
            _lessons(request, facts, samples, Path(root), size, lesson, teacher, group),
            held,
            facts.preprocess,
            fast,
            epochs=request.epochs,
            seed=request.seed,
            state=Path(state),
            goal=lesson.goal,
            keep_last=keep_last,
            group=group,
        )
        net, done = trainer.train()
        fold(net.head, facts.tasks or ())
    if group.leads:
        choices = {**facts.choices, "fast_path": str(fast)}
        whole = msgspec.structs.replace(facts, history=done.history, choices=choices)
        checkpoint.save(net, whole, checkpoint.samples(Path(out)), Path(out))
        shutil.rmtree(state, ignore_errors=True)
    best = {"epoch": done.best_epoch, "accuracy": done.best_accuracy, "loss": done.best_loss}
    notes = [*method.notes, *([done.diverged] if done.diverged else [])]
    return {"epochs": done.epoch, "best": best, "notes": notes, "together": done.together}


@dataclass(frozen=True)
class _Lesson:
    """What pictures are to be called, and how much that counts.

    Attributes
    ----------
    taught : class indices of the train images, or rows of targets. held : those of the select images, as an array.
    weights : of each class in the loss; ``None``: all alike. odds : of drawing a picture of each class; empty: alike.
    """

    goal: Goal
    taught: Sequence[Any]
    held: Any
    weights: Tensor | None = None
    odds: Sequence[float] = ()


def _lesson(request: BuildSpec, facts: Checkpoint, samples: Sequence[Sample], prepared: Path) -> _Lesson:
    """Classes, weighed as the request wants it; or the answers to several tasks."""
    if facts.tasks:
        answers = np.array([s.answers for s in samples])
        goal = Several(facts.tasks, of_answers(request.imbalance, facts.tasks, answers).weights())
        held = goal.targets(np.load(prepared / "select.answers.npy"))
        return _Lesson(goal, goal.targets(answers).tolist(), held)
    labels = [s.label for s in samples]
    balance = decide(request.imbalance, np.bincount(labels).tolist())
    weights = torch.tensor(balance.weights) if balance.weights else None
    return _Lesson(
        OneClass(weights),
        labels,
        np.load(prepared / "select.labels.npy"),
        weights if balance.way == "weights" else None,
        balance.weights if balance.way == "sampling" else (),
    )


def _lessons(
    request: BuildSpec,
    facts: Checkpoint,
    samples: Sequence[Sample],
    root: Path,
    size: int,
    lesson: _Lesson,
    teacher: Teacher | None,
    group: Group,
) -> Lessons:
    """Batches of varied pictures, with what a teacher says of them where there is one."""
    policy, classes = policy_for(request), len(facts.classes)
    if teacher is not None and teacher.preprocess.height != facts.preprocess.height:
        policy = alike_at_any_size(policy)
    batches = Batches(
        root,
        [s.path for s in samples],
        lesson.taught,
        Augmenter(policy, facts.preprocess, classes),
        batch_size=size,
        seed=request.seed,
        odds=lesson.odds,
        group=group,
    )
    if teacher is None:
        return batches
    return TaughtBatches(batches, teacher, Augmenter(policy, teacher.preprocess, classes))
