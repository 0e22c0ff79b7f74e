"""A wire with scissors: a TCP proxy that cuts every connection once so many bytes went through."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Iterable


class Wire:
    """Between a client and a port of loopback.

    Parameters
    ----------
    cuts : bytes, in both directions together, after which each next cut is made.
    """

    def __init__(self, port: int, cuts: Iterable[int] = ()) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._cuts = list(cuts)
        self._carried = 0
        self._open: list[socket.socket] = []
        self._lock = threading.Lock()
        self.made = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Cut what is open now."""
        with self._lock:
            self.made += 1
            self._carried = 0
            for end in self._open:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            self._open.clear()

    def close(self) -> None:
        """Cut, and let nobody connect again."""
        with contextlib.suppress(OSError):  # closed already
            self._listener.shutdown(socket.SHUT_RDWR)  # a thread that waits in accept would take one more
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                return
            with self._lock:
                self._open += [near, far]
            threading.Thread(target=self._carry, args=(near, far), daemon=True).start()

    def _carry(self, near: socket.socket, far: socket.socket) -> None:
        other = {near: far, far: near}
        with near, far, contextlib.suppress(OSError, ValueError):
            while True:
                for end in select.select([near, far], [], [])[0]:
                    piece = end.recv(4096)
                    if not piece:
                        return
                    other[end].sendall(piece)
                    self._count(len(piece))

    def _count(self, size: int) -> None:
        self._carried += size
        if self._cuts and self._carried >= self._cuts[0]:
            self._cuts.pop(0)
            self.cut()
