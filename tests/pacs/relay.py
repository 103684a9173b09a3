"""A relay between a client and a real server that breaks connections or adds TLS (Debian's Orthanc crashes with it)."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

__all__ = ["relay"]

_CHUNK = 4096


@contextmanager
def relay(port: int, break_after: list[int] | None = None, tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """Forward connections to a port of this machine.

    Parameters
    ----------
    port : int
    break_after : list of int, optional
        An answer longer than the first of these numbers is cut there. Then the next number applies.
    tls : SSLContext, optional
        Use TLS with the client.

    Yields
    ------
    int
        The relay's port.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    if tls is not None:
        listener = tls.wrap_socket(listener, server_side=True)
    cuts = [] if break_after is None else break_after
    stopped = threading.Event()

    def accept() -> None:
        while not stopped.is_set():
            try:
                client, _ = listener.accept()
            except ssl.SSLError:  # the client refuses the certificate
                continue
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", port))
            threading.Thread(target=_forward, args=(client, server), daemon=True).start()
            threading.Thread(target=_answer, args=(server, client, cuts), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        stopped.set()
        listener.close()


def _forward(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(_CHUNK):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


def _answer(source: socket.socket, target: socket.socket, break_after: list[int]) -> None:
    passed = 0
    with suppress(OSError):
        while data := source.recv(_CHUNK):
            if break_after and passed + len(data) > break_after[0]:
                target.sendall(data[: break_after.pop(0) - passed])
                break
            target.sendall(data)
            passed += len(data)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)  # closing alone has no effect while the other thread reads
            end.close()
