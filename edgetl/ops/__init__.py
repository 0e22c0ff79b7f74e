"""Kernels of our own: their launch, its checks, and their twins in numpy.

``head`` is the fused classification head, ``preprocess`` the fused camera preprocessor, ``frames`` what it takes.
``library`` finds or compiles what ``kernels/`` holds, ``shipped`` is what a bundle brings of it, and ``cubin`` how that
is launched. ``device`` is what a launcher asks of a GPU, ``on_cuda`` one that is there. Nothing here imports a vendor's
library.
"""
