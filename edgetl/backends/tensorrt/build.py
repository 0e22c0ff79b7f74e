"""From ONNX to a plan, in a process that does nothing else: the builder's memory goes back when it ends."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import tensorrt as trt

from edgetl.backends.tensorrt import options as wanted
from edgetl.backends.tensorrt import plugin as plugins
from edgetl.backends.tensorrt import releases, stamp, timing
from edgetl.backends.tensorrt.log import Log, mapped
from edgetl.backends.tensorrt.options import Options
from edgetl.errors import BackendError, EnvironmentLacks, InputError
from edgetl.types import TensorSpec

__all__ = ["build_plan"]

NAMED = 5
"""As many nodes or layers as a message names."""


def build_plan(
    model: str,
    folder: str,
    precision: str,
    *,
    dla: int | None = None,
    options: Mapping[str, object] | None = None,
    timings: str | None = None,
    plugin: str | None = None,
) -> dict[str, Any]:
    """Parse, configure and build; the raw plan is ``engine.plan`` in ``folder``.

    Parameters
    ----------
    model : an ONNX file. precision : ``f32``, ``default`` or ``int8``.
    dla : the core to build for; the GPU where it is ``None``.
    options : of the profile, in trtexec's spelling. timings : the timing cache's file; ``None`` keeps none.
    plugin : the library of the fused head, where the model has one.

    Returns
    -------
    ``inputs`` and ``outputs``, ``typing`` (``strong`` or ``weak``) and ``on_gpu``, layers that the DLA left to it.

    Raises
    ------
    BackendError : TensorRT refused the graph or found no kernels; its log is in the facts.
    InputError : an option does not fit the model. EnvironmentLacks : there is no such DLA core.
    """
    asked, typed, name = wanted.read(options or {}), releases.is_typed(precision), Path(model).name
    log = Log()
    with mapped(log, f"TensorRT {trt.__version__} cannot build {name}"):
        trt.init_libnvinfer_plugins(log, "")
        if plugin is not None:
            releases.load_plugin(plugin, plugins.OPERATOR, plugins.VERSION)
        builder = trt.Builder(log)
        network = builder.create_network(releases.network_flags(typed=typed))
        parser = trt.OnnxParser(network, log)
        if not parser.parse_from_file(model):
            raise _refused(parser, log, name)
        inputs = _specs([network.get_input(index) for index in range(network.num_inputs)])
        outputs = _specs([network.get_output(index) for index in range(network.num_outputs)])
        config = builder.create_builder_config()
        releases.set_precision(config, precision, typed=typed)
        _configure(config, asked)
        _add_profile(builder, config, asked, inputs, on_dla=dla is not None)
        on_gpu = [] if dla is None else _place_on_dla(builder, network, config, dla, asked)
        with timing.kept(config, None if timings is None else Path(timings)):
            plan = builder.build_serialized_network(network, config)
            if plan is None:
                raise log.failure(f"TensorRT {trt.__version__} built no engine of {name}")
        (Path(folder) / stamp.PLAN).write_bytes(plan)
    return {
        "inputs": msgspec.to_builtins(inputs),
        "outputs": msgspec.to_builtins(outputs),
        "typing": "strong" if typed else "weak",
        "on_gpu": on_gpu,
    }


def _refused(parser: trt.OnnxParser, log: Log, name: str) -> BackendError:
    """What the parser does not take, node by node."""
    errors = [parser.get_error(index) for index in range(parser.num_errors)]
    told = [f"{releases.node_of(error)}: {' '.join(error.desc().split())}" for error in errors]
    log.errors[:0] = told
    more = f" (and {len(told) - 1} more)" if len(told) > 1 else ""
    first = told[0] if told else "the parser gives no reason"
    failure = log.failure(f"TensorRT {trt.__version__} does not take {name}", first)
    problem = f"TensorRT {trt.__version__} does not take {name}: {first}{more}"
    return BackendError(problem, hint=failure.hint, nodes=told, **failure.facts)


def _configure(config: trt.IBuilderConfig, asked: Options) -> None:
    """What does not depend on the network."""
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # for explain; it changes no kernel
    config.hardware_compatibility_level = releases.hardware_level(asked.hardware)
    if asked.level is not None:
        config.builder_optimization_level = asked.level
    if asked.any_release:
        config.set_flag(trt.BuilderFlag.VERSION_COMPATIBLE)
    kinds = {
        "workspace": trt.MemoryPoolType.WORKSPACE,
        "dlaSRAM": trt.MemoryPoolType.DLA_MANAGED_SRAM,
        "dlaLocalDRAM": trt.MemoryPoolType.DLA_LOCAL_DRAM,
        "dlaGlobalDRAM": trt.MemoryPoolType.DLA_GLOBAL_DRAM,
    }
    for pool, size in wanted.pools(asked).items():
        config.set_memory_pool_limit(kinds[pool], size)


def _add_profile(
    builder: trt.Builder,
    config: trt.IBuilderConfig,
    asked: Options,
    inputs: tuple[TensorSpec, ...],
    *,
    on_dla: bool,
) -> None:
    """One optimization profile for all inputs with a free axis."""
    shapes = wanted.shapes(asked, inputs)
    if not shapes:
        return
    if on_dla:
        raise InputError(
            f"a DLA takes fixed shapes, and {', '.join(shapes)} has a free axis",
            hint="export it with --batch 1",
        )
    profile = builder.create_optimization_profile()
    for name, (least, usual, greatest) in shapes.items():
        profile.set_shape(name, least, usual, greatest)
    if config.add_optimization_profile(profile) < 0:
        raise BackendError("TensorRT refuses the shapes", hint="minShapes, optShapes, maxShapes")


def _place_on_dla(
    builder: trt.Builder,
    network: trt.INetworkDefinition,
    config: trt.IBuilderConfig,
    core: int,
    asked: Options,
) -> list[str]:
    """Put all layers on a DLA; those that it cannot run are named, and go to the GPU only where that is allowed."""
    if core >= builder.num_DLA_cores:
        raise EnvironmentLacks(
            f"this device has {builder.num_DLA_cores or 'no'} DLA cores, core {core} is asked for",
            hint="device: GPU in the profile",
        )
    config.default_device_type = trt.DeviceType.DLA
    config.DLA_core = core
    layers = [network.get_layer(index) for index in range(network.num_layers)]
    misfits = [
        layer.name
        for layer in layers
        if layer.type != trt.LayerType.CONSTANT and not config.can_run_on_DLA(layer)
    ]
    if misfits and not asked.gpu_fallback:
        named = ", ".join(misfits[:NAMED]) + (", ..." if len(misfits) > NAMED else "")
        raise BackendError(
            f"the DLA cannot run {len(misfits)} of {len(layers)} layers: {named}",
            hint="--backend-option allowGPUFallback=true runs them on the GPU",
            layers=misfits,
        )
    if misfits:
        config.set_flag(trt.BuilderFlag.GPU_FALLBACK)
    return misfits


def _specs(tensors: list[trt.ITensor]) -> tuple[TensorSpec, ...]:
    return tuple(
        TensorSpec(
            name=tensor.name,
            dtype=releases.dtype_name(tensor.dtype),
            shape=tuple(None if dim < 0 else int(dim) for dim in tensor.shape),
        )
        for tensor in tensors
    )
