"""Which stages a build is, and what they read, where the network is fitted to another place after its training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgetl.data import frames as target
from edgetl.data.layout import Dataset
from edgetl.devices import DeviceProfile
from edgetl.pipeline import Artifact, Context, Stage
from edgetl.stages import adapt, domain, gain, judge, train
from edgetl.types import BuildSpec

__all__ = ["reading", "weave"]

INSTEAD = {"train": adapt.NAME, "prepare": judge.NAME, "check": judge.NAME}
"""What the stages behind the export read in the place of what."""


def weave(
    stages: Sequence[Stage],
    spec: BuildSpec,
    source: Dataset,
    setting: train.Setting,
    runs_on: DeviceProfile,
    candidates: Sequence[str],
) -> list[Stage]:
    """A build's stages with those of ``--adapt`` between them.

    ``domain`` and ``adapt`` come behind ``train``, and the checkpoint of ``adapt`` is exported; ``judge`` comes behind
    ``export``, and its frames are read where those of ``prepare`` would be; ``gain`` is the last.

    Parameters
    ----------
    source : the labelled pictures.

    Raises
    ------
    InputError : the folder of frames is not usable.
    """
    assert spec.adapt is not None
    place = Path(spec.adapt)
    frames = target.scan(place, source, seed=spec.seed)
    names = [stage.name for stage in stages]
    cut, last = names.index("train") + 1, names.index("export")
    timed = spec.adapt_method in adapt.TRAINED and "fastpath" not in names
    return [
        *stages[:cut],
        *([train.fast_path_stage(spec, setting)] if timed else []),
        domain.stage(frames, place, source, setting.root),
        adapt.stage(spec, place, setting),
        *stages[cut:last],
        reading(stages[last], {"train": adapt.NAME}),
        judge.stage(runs_on, setting.host, spec.seed),
        *(reading(stage, INSTEAD) for stage in stages[last + 1 :]),
        gain.stage(candidates, runs_on, setting.host),
    ]


def reading(stage: Stage, instead: Mapping[str, str]) -> Stage:
    """The same stage, which is given other stages' artifacts in the place of those that it asks for by name."""
    given = {name: instead.get(name, name) for name in stage.needs}

    def run(inputs: Mapping[str, Artifact], out: Path, ctx: Context) -> Mapping[str, Any]:
        return stage.run({name: inputs[other] for name, other in given.items()}, out, ctx)

    return replace(stage, needs=tuple(dict.fromkeys(given.values())), run=run)
