"""One training by several processes, over torch.distributed: each takes its part of every batch.

The parts of a batch are those of one process's batch, and a gradient is the mean over all its pictures. So the result
is that of one process, but for the order of sums, wherever a picture's loss does not depend on the others of its batch:
batch norm in training mode, mixed pictures and relations between pictures are of a process's own part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed import PrefixStore, TCPStore  # type: ignore[attr-defined] # not in __all__

from edgetl.errors import EnvironmentLacks
from edgetl.processes import Processes
from edgetl.transfer.backbone import Net
from edgetl.transfer.methods.seam import Method

__all__ = ["Group", "Together", "connect", "join", "part"]

FIND_S = 120.0
"""How long a process looks for the store before it says that there is none."""
LOST = ("peer", "Connection closed", "Connection reset", "Broken pipe")
"""What gloo says where another process is gone."""

T = TypeVar("T")
Step = Callable[[Tensor, Any], Tensor]


def part(rows: Sequence[T], rank: int, count: int) -> Sequence[T]:
    """What one of ``count`` processes takes of a batch: a run of it, as long as the others' or one longer.

    >>> [part("abcde", rank, 2) for rank in range(2)]
    ['abc', 'de']
    """
    least, more = divmod(len(rows), count)
    start = rank * least + min(rank, more)
    return rows[start : start + least + (rank < more)]


class Group:
    """How the trainer meets the other processes. This one is of a single process, and leaves everything as it is.

    Attributes
    ----------
    rank : of this process. leads : it keeps the state, tells of progress and writes what comes out.
    local_count : processes on this machine, which share its memory.
    """

    rank = 0
    leads = True
    local_count = 1

    def part(self, rows: Sequence[T]) -> Sequence[T]:
        """This process's part of a sequence that all have."""
        return rows

    def ready(self, net: Net) -> Net:
        """The network, its modules fit for several processes."""
        return net

    def step(self, net: Net, method: Method) -> Step:
        """``method.step`` of the network as it trains now; a backward pass from it averages gradients."""
        return lambda pictures, targets: method.step(net, pictures, targets)

    def weighed(self, loss: Tensor, count: int) -> tuple[Tensor, float]:
        """What to go backward from, and the mean loss over all processes' pictures; ``count`` are this one's."""
        return loss, float(loss.detach())

    def counted(self, weights: Tensor) -> Tensor:
        """What to divide a sum of weighted losses by, of the weights (N,) of this one's pictures; see ``weighed``."""
        return weights.sum()

    def total(self, *numbers: float) -> tuple[float, ...]:
        """Sums over the processes, the same bits in each."""
        return numbers

    def shared(self, data: bytes) -> bytes:
        """What the leading process has."""
        return data

    def settle(self, net: Net) -> None:
        """Give all processes the leading one's buffers, such as the statistics of batch norm."""

    def told(self, net: Net) -> str:
        """What a reader of the result should know of this way to train; empty where there is nothing."""
        return ""


class Together(Group):
    """One of several processes that have a process group."""

    def __init__(self, processes: Processes, device: str) -> None:
        self._processes = processes
        self._device = device
        self._wrapped: tuple[tuple[bool, ...], nn.Module] | None = None
        self.rank = processes.rank
        self.leads = processes.rank == 0
        self.local_count = processes.local_count

    def part(self, rows: Sequence[T]) -> Sequence[T]:
        """This process's part of a sequence that all have."""
        return part(rows, self._processes.rank, self._processes.count)

    def ready(self, net: Net) -> Net:
        """On GPUs batch norm takes its statistics over all processes' pictures; PyTorch has no such thing for CPUs."""
        if self._device != "cuda":
            return net
        made: Net = nn.SyncBatchNorm.convert_sync_batchnorm(net)
        return made

    def step(self, net: Net, method: Method) -> Step:
        """``method.step`` inside DistributedDataParallel, which is made anew where a method trains something else.

        The method gets the plain network: it may call parts of it.
        """
        trains = tuple(parameter.requires_grad for parameter in net.parameters())
        if self._wrapped is None or self._wrapped[0] != trains:
            self._wrapped = (trains, nn.parallel.DistributedDataParallel(_Step(net, method)))
        made: Step = self._wrapped[1]
        return made

    def weighed(self, loss: Tensor, count: int) -> tuple[Tensor, float]:
        """DistributedDataParallel averages over processes; parts may differ by a picture, so each loss is weighed."""
        summed, pictures = self.total(float(loss.detach()) * count, count)
        return loss * (count * self._processes.count / pictures), summed / pictures

    def counted(self, weights: Tensor) -> Tensor:
        """As many pictures at the mean weight of the whole batch: a part may hold all of a rare class, or none."""
        summed, pictures = self.total(float(weights.sum()), len(weights))
        return weights.new_tensor(len(weights) * summed / pictures)

    def total(self, *numbers: float) -> tuple[float, ...]:
        """Sums over the processes; made by one and told to all, so that all decide alike."""
        values = torch.tensor(numbers, dtype=torch.float64)
        dist.reduce(values, dst=0)
        dist.broadcast(values, src=0)
        return tuple(values.tolist())

    def shared(self, data: bytes) -> bytes:
        """The leading process's bytes."""
        size = torch.tensor([len(data)])
        dist.broadcast(size, src=0)
        if not int(size):
            return b""
        held = torch.frombuffer(bytearray(data), dtype=torch.uint8) if self.leads else None
        values = torch.empty(int(size), dtype=torch.uint8) if held is None else held
        dist.broadcast(values, src=0)
        return values.numpy().tobytes()

    @torch.no_grad()
    def settle(self, net: Net) -> None:
        """Give all processes the leading one's buffers: the statistics of batch norm are of its part."""
        for buffer in net.buffers():
            dist.broadcast(buffer, src=0)

    def told(self, net: Net) -> str:
        """How many processes, and whose statistics batch norm took where it trained."""
        said = f"{self._processes.count} processes"
        norms = [m for m in net.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.training]
        if not norms:
            return said
        over = "all of a batch" if self._device == "cuda" else "each one's part of a batch"
        return f"{said}, batch norm over {over}"


class _Step(nn.Module):
    """A method's step as the forward pass of a module, for that is what DistributedDataParallel follows."""

    def __init__(self, net: Net, method: Method) -> None:
        super().__init__()
        self.net = net
        self._method = method

    def forward(self, pictures: Tensor, targets: Any) -> Tensor:
        """The loss of a batch."""
        return self._method.step(self.net, pictures, targets)


def connect(processes: Processes) -> Any:
    """The store that torchrun keeps, as this attempt sees it.

    Raises
    ------
    EnvironmentLacks : nobody answers there.
    """
    try:
        store = TCPStore(processes.host, processes.port, is_master=False, timeout=timedelta(seconds=FIND_S))
    except (dist.DistNetworkError, dist.DistStoreError) as error:
        raise EnvironmentLacks(
            f"torchrun's store at {processes.host}:{processes.port} does not answer",
            hint="is torchrun still running? Between machines, --rdzv-endpoint HOST:PORT must be reachable",
        ) from error
    return PrefixStore(f"edgetl/{processes.attempt}", store)


@contextmanager
def join(processes: Processes | None, number: int, device: str) -> Iterator[Group]:
    """Meet the other processes for their training ``number``.

    Raises
    ------
    EnvironmentLacks : another process ended in the middle; or there are fewer GPUs than processes.
    """
    if processes is None:
        yield Group()
        return
    backend = "gloo"
    if device == "cuda":
        if processes.local_rank >= torch.cuda.device_count():
            raise EnvironmentLacks(
                f"process {processes.local_rank} of this machine has no GPU of its own: "
                f"{torch.cuda.device_count()} are here",
                hint=f"torchrun --nproc-per-node {torch.cuda.device_count()}",
            )
        torch.cuda.set_device(processes.local_rank)
        backend = "cpu:gloo,cuda:nccl"
    dist.init_process_group(
        backend,
        store=PrefixStore(f"training/{number}", connect(processes)),
        rank=processes.rank,
        world_size=processes.count,
    )
    try:
        group = Together(processes, device)
        yield group
        group.total(0.0)  # one that leaves early would look lost to the others
    except RuntimeError as error:
        if not isinstance(error, dist.DistBackendError) and not any(word in str(error) for word in LOST):
            raise
        raise EnvironmentLacks(
            "another process of this training ended in the middle",
            hint="torchrun --max-restarts 3 starts them again from the last whole epoch; so does the same command",
            lost=True,
        ) from error
    finally:
        dist.destroy_process_group()
