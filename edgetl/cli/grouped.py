"""Help of the whole command line on one screen: the commands by group, one line each."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand, TyperGroup

__all__ = ["GROUPS", "Grouped", "Paneled"]

GROUPS: dict[str, dict[str, str]] = {
    "main": {
        "build": "labelled pictures to a verified engine",
        "predict": "classify pictures with a bundle",
        "verify": "prove a bundle: digests, golden vectors, accuracy",
        "gate": "fail when, and only when, an engine got slower",
    },
    "data": {"check": "unreadable pictures, duplicates, leakage between roles"},
    "model": {
        "models": "the backbones that can be named, their cost and size",
        "advise": "which backbone is worth training, and its latency",
        "train": "fine-tune a backbone; writes a checkpoint",
        "export": "a checkpoint to ONNX with its preprocessing inside",
        "calibrate": "observe a float model on pictures; writes statistics",
        "quantize": "a float ONNX model to INT8 (Q/DQ), for a device",
        "lint": "hold a Q/DQ graph to the rules of TensorRT or OpenVINO",
    },
    "engine": {
        "compile": "an ONNX file or a bundle's model into an engine",
        "sensitivity": "the layers that INT8 costs most in",
        "inspect": "what is in a bundle: layers, precisions, digests",
    },
    "device": {
        "devices": "the profiles, and what this host can use",
        "doctor": "what is installed, and what mends what is not",
        "profile-device": "the latency model that advise predicts with",
    },
    "measure": {
        "bench": "time an engine alone, and a frame to its result",
        "history": "latency from build to build, and where it changed",
        "report": "bundles as one HTML page, side by side",
    },
}
"""Group -> command -> what it does, in so few words that a line of 80 columns holds them."""


class Grouped(TyperGroup):
    """Lists the commands by group; a command of no group would be left out, which a test refuses."""

    def get_params(self, ctx: Any) -> list[Any]:
        """The options; that which prints completion works, and leaves its line to a command."""
        params: list[Any] = super().get_params(ctx)
        for param in params:
            if param.name == "show_completion":
                param.hidden = True
        return params

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the groups, each named beside its first command."""
        formatter.write("\n")
        for group, commands in GROUPS.items():
            for index, (name, does) in enumerate(commands.items()):
                formatter.write(f"  {group if index == 0 else '':<8} {name:<14} {does}\n")
        formatter.write("  edgetl COMMAND --help   lists its options with their units and defaults\n")


class Paneled(TyperCommand):
    """A command whose help lists its options by panel, those of none under ``Options``."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments and options with their help, panel by panel."""
        panels: dict[str, list[Any]] = {}
        for param in self.get_params(ctx):
            told = param.get_help_record(ctx)
            if told is not None:
                usual = "Arguments" if param.param_type_name == "argument" else "Options"
                panels.setdefault(getattr(param, "rich_help_panel", None) or usual, []).append(told)
        for panel, rows in panels.items():
            with formatter.section(panel):
                formatter.write_dl(rows)
