"""What the installed TensorRT is, asked in a child process: a library that does not fit the driver may end it."""

from __future__ import annotations

from typing import Any

from edgetl.errors import EnvironmentLacks

__all__ = ["look"]


def look(*, with_builder: bool) -> dict[str, Any]:
    """The release, and the DLA cores of the device; those take a builder, which must not be made without a driver.

    Raises
    ------
    EnvironmentLacks : it does not load, or is a runtime alone. BackendError : no builder can be made.
    """
    try:
        import tensorrt as trt

        from edgetl.backends.tensorrt import releases
        from edgetl.backends.tensorrt.log import Log, mapped
    except ImportError as error:
        raise EnvironmentLacks(f"TensorRT does not load: {error}") from error
    found: dict[str, Any] = {
        "version": str(trt.__version__),
        "typed": releases.is_typed("int8"),
        "dla_cores": 0,
    }
    if with_builder:
        if not hasattr(trt, "Builder"):
            raise EnvironmentLacks(
                f"TensorRT {trt.__version__} here is a runtime alone, which builds no engines"
            )
        log = Log()
        with mapped(log, "TensorRT makes no builder"):
            found["dla_cores"] = int(trt.Builder(log).num_DLA_cores)
    return found
