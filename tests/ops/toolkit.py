"""A CUDA toolkit of the tests: its nvcc is a shell script over gcc."""

from __future__ import annotations

from pathlib import Path

from edgetl.ops.library import ABI

__all__ = ["Toolkit"]

ANSWERS = """#!/bin/sh
case "$1" in
--version) echo "Cuda compilation tools, release {release}, V{release}.88"; exit {version_code};;
--list-gpu-arch) printf 'compute_75\\ncompute_87\\ncompute_110\\n'; exit 0;;
esac
echo "$@" >>"{log}"
{compile}
"""
COMPILE = """
while [ $# -gt 0 ]; do [ "$1" = -o ] && out=$2; shift; done
exec gcc -shared -fPIC -o "$out" "{source}"
"""
SOURCE = """
int edgetl_kernels_abi(void) {{ return {abi}; }}
const char *edgetl_kernels_architectures(void) {{ return "{built}"; }}
"""


class Toolkit:
    """A CUDA toolkit whose nvcc makes a library of two functions."""

    def __init__(self, home: Path, *, release: str = "13.0", version_code: int = 0) -> None:
        self.home = home
        self.log = home / "log"
        self._release, self._version_code = release, version_code
        (home / "bin").mkdir(parents=True)
        self.builds()

    def builds(self, *, abi: int = ABI, built: str = "870", compile_: str | None = None) -> None:
        """What it makes from now on."""
        source = self.home / "kernels.c"
        source.write_text(SOURCE.format(abi=abi, built=built))
        program = self.home / "bin" / "nvcc"
        program.write_text(
            ANSWERS.format(
                release=self._release,
                version_code=self._version_code,
                log=self.log,
                compile=compile_ or COMPILE.format(source=source),
            )
        )
        program.chmod(0o755)

    @property
    def runs(self) -> list[str]:
        """Compilations that were started, by their arguments."""
        return self.log.read_text().splitlines() if self.log.exists() else []
