"""Power and energy: Intel's RAPL counters, the INA3221 of a Jetson, and ``tegrastats`` where that cannot be read."""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from edgetl.bench import clock as clocks
from edgetl.bench import sysfs
from edgetl.bench.clock import Clock
from edgetl.types import Record

__all__ = ["Energy", "Meter", "measure", "meter", "rails_w", "tegrastats_w"]

TOTALS = ("VDD_IN", "POM_5V_IN", "5V_IN", "VDD_MUX")
"""Rails that feed the whole module (energymon's JetsonPowerRails.md); others overlap or leave something out."""
PACKAGES = "packages"
"""The sum of RAPL's packages: a board with two has two."""
POLL_SECONDS = 0.05
TEGRASTATS_MS = 100
_NS = 1e9


class Energy(Record, frozen=True, kw_only=True):
    """What inferences cost, back to back.

    Attributes
    ----------
    source : ``rapl``, ``ina3221`` or ``tegrastats``. seconds, runs : how long it was measured.
    watts : mean power of each rail or domain over that time.
    total : the rail that feeds the whole, or the processor package; ``None`` where none is known to.
    idle_watts : mean power of the total in the second before, when nothing was asked of the engine.
    mj_per_run : millijoules of the total for one inference, idle power included.
    """

    source: str
    seconds: float
    runs: int
    watts: dict[str, float]
    total: str | None
    idle_watts: float | None
    mj_per_run: float | None


class Meter:
    """Joules of each rail since it was started, from a source that is read before and after, or polled meanwhile."""

    def __init__(self, source: str, read: Callable[[], Mapping[str, float]], *, polled: bool) -> None:
        self.source = source
        self._read = read
        self._polled = polled

    @contextmanager
    def running(self, clock: Clock = clocks.system) -> Iterator[dict[str, float]]:
        """A dictionary that holds the joules of each rail when the block has ended."""
        spent: dict[str, float] = {}
        if not self._polled:
            before = self._read()
            yield spent
            spent.update({name: joules - before[name] for name, joules in self._read().items()})
            return
        poll = _Poll(self._read, clock)
        poll.start()
        try:
            yield spent
        finally:
            poll.stop()
        spent.update(poll.joules)


class _Poll(threading.Thread):
    """Adds watts up over time: the mean of two neighbouring readings stands for what lies between."""

    def __init__(self, read: Callable[[], Mapping[str, float]], clock: Clock) -> None:
        super().__init__(daemon=True)
        self._read, self._clock = read, clock
        self._ended = threading.Event()
        self._before, self._last = clock(), dict(read())
        self.joules = dict.fromkeys(self._last, 0.0)

    def run(self) -> None:
        """Read until stopped."""
        while not self._ended.wait(POLL_SECONDS):
            self._add()

    def stop(self) -> None:
        """End, and count what has passed since the last reading."""
        self._ended.set()
        self.join()
        self._add()

    def _add(self) -> None:
        now, read = self._clock(), dict(self._read())
        for name, watts in read.items():
            mean = (watts + self._last.get(name, watts)) / 2
            self.joules[name] = self.joules.get(name, 0.0) + mean * (now - self._before) / _NS
        self._before, self._last = now, read


def meter(root: Path = Path("/")) -> Meter | None:
    """The best source of this host; ``None`` where it has none that this user may read."""
    if _rapl_files(root):
        return Meter("rapl", _Rapl(root), polled=False)
    if rails_w(root):
        return Meter("ina3221", lambda: rails_w(root) or {}, polled=True)
    if _tegrastats(root):
        return Meter("tegrastats", lambda: _tegrastats(root), polled=True)
    return None


def measure(
    once: Callable[[], object],
    *,
    seconds: float = 1.0,
    source: Meter | None = None,
    clock: Clock = clocks.system,
    sleep: clocks.Sleep = clocks.sleep,
) -> Energy | None:
    """Run a call back to back, in a pass of its own, and say what it cost; ``None`` where nothing measures power.

    Parameters
    ----------
    seconds : for so long, and as long before it at rest.
    source : ``meter()`` where it is ``None``.
    """
    source = meter() if source is None else source
    if source is None:
        return None
    begun = clock()
    with source.running(clock) as resting:
        sleep(seconds)
    rested = (clock() - begun) / _NS
    runs, begun = 0, clock()
    with source.running(clock) as spent:
        while clock() - begun < seconds * _NS:
            once()
            runs += 1
    took = (clock() - begun) / _NS
    total = _total(spent)
    return Energy(
        source=source.source,
        seconds=took,
        runs=runs,
        watts={name: joules / took for name, joules in spent.items()},
        total=total,
        idle_watts=resting[total] / rested if total is not None and rested > 0 else None,
        mj_per_run=1000 * spent[total] / runs if total is not None else None,
    )


def _total(rails: Mapping[str, float]) -> str | None:
    return next((name for name in (*TOTALS, PACKAGES) if name in rails), None)


class _Rapl:
    """Joules by domain, growing for ever: a counter that began again is carried on (powercap's documentation)."""

    def __init__(self, root: Path) -> None:
        self._domains = _rapl_files(root)
        self._last = {file: sysfs.whole(file) or 0 for file in self._domains.values()}
        self._sum = dict.fromkeys(self._last, 0)

    def __call__(self) -> dict[str, float]:
        for file, last in self._last.items():
            now = sysfs.whole(file)
            if now is None:
                continue
            span = sysfs.whole(file.with_name("max_energy_range_uj")) or 0
            self._sum[file] += now - last if now >= last else now + span - last
            self._last[file] = now
        found = {name: self._sum[file] / 1e6 for name, file in self._domains.items()}
        packages = [joules for name, joules in found.items() if name.startswith("package")]
        return {**found, PACKAGES: sum(packages)} if packages else found


def _rapl_files(root: Path) -> dict[str, Path]:
    """Energy counters of RAPL by the name of their domain, those that this user may read."""
    found = {}
    for file in sorted(root.glob("sys/class/powercap/intel-rapl:*/energy_uj")):
        name = sysfs.text(file.with_name("name"))
        if name is not None and sysfs.whole(file) is not None:
            found[name if name not in found else f"{name} {file.parent.name}"] = file
    return found


def rails_w(root: Path = Path("/")) -> dict[str, float] | None:
    """Watts of each rail behind an INA3221, from millivolts and milliamperes; ``None`` where there is none.

    The mainline driver's files are ``inN_label``, ``inN_input`` and ``currN_input`` (Documentation/hwmon/ina3221.rst);
    those of JetPack 4 are ``rail_name_N`` and ``in_powerN_input``, in milliwatts.
    """
    found: dict[str, float] = {}
    for label in sorted(root.glob("sys/bus/i2c/drivers/ina3221/*/hwmon/hwmon*/in[123]_label")):
        name, number = sysfs.text(label), label.name[2]
        volts = sysfs.number(label.with_name(f"in{number}_input"))
        amperes = sysfs.number(label.with_name(f"curr{number}_input"))
        if name is not None and name != "NC" and volts is not None and amperes is not None:
            found[name] = volts * amperes / 1e6
    for label in sorted(root.glob("sys/bus/i2c/drivers/ina3221x/*/iio:device*/rail_name_[012]")):
        name, milliwatts = sysfs.text(label), sysfs.number(label.with_name(f"in_power{label.name[-1]}_input"))
        if name is not None and milliwatts is not None:
            found[name] = milliwatts / 1000
    return found or None


def tegrastats_w(line: str) -> dict[str, float]:
    """Watts of each rail in a line of ``tegrastats``, now (behind the slash is its own mean).

    >>> tegrastats_w("RAM 2/7 VDD_IN 4716mW/4700mW VDD_SOC 1000/990")
    {'VDD_IN': 4.716, 'VDD_SOC': 1.0}
    """
    found = re.findall(r"\b((?:VDD|POM|VIN|VDDQ|GPU|CPU|SOC|CV|SYS5V)\w*) (\d+)(?:mW)?/\d+(?:mW)?", line)
    return {name: int(milliwatts) / 1000 for name, milliwatts in found}


def _tegrastats(root: Path) -> dict[str, float]:
    """Its first line; nothing where there is no such tool."""
    command = [str(root / "usr/bin/tegrastats"), "--interval", str(TEGRASTATS_MS)]
    try:
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as tool:
            assert tool.stdout is not None
            line = tool.stdout.readline()
            tool.kill()
    except OSError:
        return {}
    return tegrastats_w(line)
