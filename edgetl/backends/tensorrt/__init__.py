"""TensorRT 8.6, 10 and 11: the only package that knows its library; ``releases`` holds what differs between them.

``backend`` is what the rest of edgetl sees, and imports without TensorRT. Modules that import it run in a child
process (``probing``, ``build``) or after a driver has answered (``execution``).
"""

from __future__ import annotations

from edgetl.backends.tensorrt.backend import TensorRT

__all__ = ["TensorRT"]
