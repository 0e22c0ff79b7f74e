"""Engines that run on an NVIDIA GPU, whoever built them: memory, streams, graphs and the pool of contexts.

``session`` is the seam's ``Session``, ``lane`` what one request owns, ``driver`` the few calls of CUDA that they
make. Only ``on_pycuda`` and ``graph`` import a vendor's binding, and only when a session is opened.
"""

from __future__ import annotations

from edgetl.backends.cuda.session import CudaRequest, CudaSession

__all__ = ["CudaRequest", "CudaSession"]
