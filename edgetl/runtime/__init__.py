"""What a program on the device needs: open a bundle, predict. numpy and one vendor library, no torch.

>>> from edgetl import runtime
>>> predictor = runtime.load("runs/latest")          # doctest: +SKIP
>>> predictor.predict(frame).label                   # doctest: +SKIP
'bees'
"""

from edgetl.runtime.bundle import Bundle, open_bundle
from edgetl.runtime.prediction import Answers, Prediction, Value
from edgetl.runtime.predictor import Predictor, load

__all__ = ["Answers", "Bundle", "Prediction", "Predictor", "Value", "load", "open_bundle"]
