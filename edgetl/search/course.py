"""The latency search at work on one model: placements are written, compiled, judged and timed, each once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from edgetl import digest
from edgetl.backends import folder as engines
from edgetl.backends import seam
from edgetl.backends.seam import Session
from edgetl.bench.comparison import Ratio, compare, of_engine
from edgetl.bench.instance import Pace
from edgetl.devices import DeviceProfile
from edgetl.quantize.schemes import Scheme
from edgetl.search import latency
from edgetl.search.latency import Raced
from edgetl.search.placements import PLAIN, Placement, placements, slower_in_integers
from edgetl.types import LayerInfo

__all__ = ["Course"]

MODEL, ENGINE = "model.onnx", "engine"
SCREENED, FINAL, MOST = 4, 8, 16
"""Fresh instances that each placement is screened with, and that the best of them are timed with: at least, at most."""
MOST_SECONDS = 40.0
PACE = Pace(rounds=2, block_ms=30.0, warm_seconds=0.1)


class Course:
    """Placements of one model's integers on one device.

    Parameters
    ----------
    quantize : write a placement's INT8 model; the layers that are in integers.
    lost : points of top-1 that an opened engine loses.
    default : folder of the engine in the default precision.
    profile : that engines are compiled for. scratch : an empty folder.
    on_progress : told ``(done, total)``; may raise to stop.
    """

    def __init__(
        self,
        quantize: Callable[[Placement, Path], Sequence[str]],
        lost: Callable[[Session], float],
        default: Path,
        profile: DeviceProfile,
        scratch: Path,
        *,
        seed: int = 0,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self._quantize = quantize
        self._lost = lost
        self._default = default
        self._profile = msgspec.structs.replace(profile, precision="int8")
        self._backend = seam.find(profile.backend)
        self._scratch = scratch
        self._seed = seed
        self._on_progress = on_progress
        self._layers: dict[str, Sequence[str]] = {}
        self._done, self._total = 0, 0

    def run(self, scheme: Scheme, max_drop: float) -> tuple[Placement, Path, list[Raced]]:
        """The fastest placement, its model, and what became of the others.

        Parameters
        ----------
        scheme : of the plain placement. max_drop : points of top-1; where the plain one loses more, no more than it.
        """
        plain = Placement(PLAIN, scheme)
        self._make(plain)
        layers = self._layers[PLAIN]
        slow = slower_in_integers(self._executed(self._default), self._executed(self._engine(plain)), layers)
        entered = placements(scheme, layers, slow)
        self._total = len(entered) + SCREENED + FINAL
        best, rows = latency.search(
            entered,
            make=self._make,
            screen=lambda those: self._race(those, SCREENED, SCREENED),
            final=lambda those: self._race(those, FINAL, MOST),
            drop=self._drop,
            most_drop=max(max_drop, self._drop(plain)),
        )
        return best, self._model(best), rows

    def _make(self, placement: Placement) -> str:
        """Quantize and compile, once; the digest of the model."""
        if placement.name not in self._layers:
            self._folder(placement).mkdir()
            layers = self._quantize(placement, self._model(placement))
            engines.compile_into(self._model(placement), self._profile, self._engine(placement))
            self._layers[placement.name] = layers
            self._advance()
        return digest.of_file(self._model(placement))

    def _race(self, those: Sequence[Placement], instances: int, most: int) -> Mapping[str, Ratio]:
        """Time engines against the plain placement's."""
        found = compare(
            {one.name: of_engine(self._engine(one)) for one in those},
            baseline=PLAIN,
            instances=instances,
            most_instances=most,
            seconds=MOST_SECONDS,
            pace=PACE,
            seed=self._seed,
            on_progress=lambda done, total: self._advance(),
        )
        return found.versus()

    def _drop(self, placement: Placement) -> float:
        session = self._backend.open(engines.read(self._engine(placement)), self._engine(placement))
        try:
            return self._lost(session)
        finally:
            session.close()

    def _executed(self, engine: Path) -> list[LayerInfo]:
        return self._backend.explain(engines.read(engine), engine)

    def _folder(self, placement: Placement) -> Path:
        return self._scratch / placement.name.replace(" ", "-")

    def _model(self, placement: Placement) -> Path:
        return self._folder(placement) / MODEL

    def _engine(self, placement: Placement) -> Path:
        return self._folder(placement) / ENGINE

    def _advance(self) -> None:
        self._done += 1
        if self._on_progress is not None and self._total:
            self._on_progress(self._done, max(self._total, self._done))
