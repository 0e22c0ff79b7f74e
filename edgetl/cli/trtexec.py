"""trtexec's options, for those who type them here: what says the same, also where TensorRT 11 has dropped them."""

from __future__ import annotations

__all__ = ["replacement"]

_QUANTIZED = "--precision int8, of a model that edgetl quantize made: ranges are in its graph, not in a cache"
_IN_GRAPH = "Q/DQ pairs in the graph say what is INT8: edgetl sensitivity names layers to leave out"
_OPTION = "--backend-option {word}=VALUE of edgetl compile, or options: {{{word}: VALUE}} in a profile"
_REPLACED = {
    "best": "--precision int8; edgetl build measures f32, default and int8, and ships the fastest within budget",
    "bf16": "--precision default, which is FP16",
    "calib": _QUANTIZED,
    "explicitBatch": "nothing: the batch is in every network's shapes",
    "fp16": "--precision default, which is FP16; edgetl quantize --device jetson writes it beside INT8",
    "fp8": "--precision int8: FP8 is not built",
    "int4": "--precision int8: INT4 is not built",
    "int8": _QUANTIZED,
    "layerOutputTypes": _IN_GRAPH,
    "layerPrecisions": _IN_GRAPH,
    "loadEngine": "edgetl bench BUNDLE",
    "onnx": "the model as an argument: edgetl compile MODEL.onnx",
    "precisionConstraints": _IN_GRAPH,
    "saveEngine": "--out DIR",
    "stronglyTyped": "nothing: it is so from TensorRT 10.12 on",
    "timingCacheFile": "nothing: timings are kept for each GPU and release; --backend-option timingCache=false",
    "useDLACore": "a profile with device: dla:N, in a file for --devices",
    "workspace": "--backend-option memPoolSize=workspace:MIB of edgetl compile, or options in a profile",
    **dict.fromkeys(
        (
            "allowGPUFallback",
            "builderOptimizationLevel",
            "hardwareCompatibilityLevel",
            "maxShapes",
            "memPoolSize",
            "minShapes",
            "optShapes",
            "versionCompatible",
        ),
        _OPTION,
    ),
}


def replacement(option: str) -> str | None:
    """What stands here for an option of trtexec; ``None`` where it is none.

    >>> replacement("--saveEngine")
    '--out DIR'
    """
    word = option.lstrip("-")
    told = _REPLACED.get(word)
    return None if told is None else told.format(word=word)
