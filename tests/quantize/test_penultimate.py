"""Features of a model that nobody split: what its last layer reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgetl.errors import InputError
from edgetl.quantize import graph as reading
from edgetl.quantize.observe import open_session
from edgetl.quantize.penultimate import penultimate
from tests.quantize import graphs


def test_features_are_what_the_last_layer_reads_averaged_over_places(tmp_path: Path) -> None:
    model = graphs.write("residual", tmp_path)
    pictures = list(graphs.pictures(3))
    found = penultimate(model, pictures)
    graph = reading.load(model)
    *_, last = graph.weighted()
    session, feed = open_session(graph, [last.input[0]], model.name)
    wanted = [session.run(None, {feed: picture})[0].mean(axis=(2, 3)) for picture in pictures]
    assert np.allclose(found, np.concatenate(wanted))


def test_no_picture_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no image"):
        penultimate(graphs.write("residual", tmp_path), [])
