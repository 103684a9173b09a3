"""Limits on an association while its objects arrive: they go to disk, not to memory, up to a maximum."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pynetdicom.association import Association

__all__ = ["Arriving", "bound_pdus", "unfinished"]

#: We announce 256 KiB. Only an A-ASSOCIATE-RQ may be longer, because it may offer many presentation contexts.
_MAX_PDU_BYTES = 1024 * 1024


@dataclass
class Arriving:
    """One association.

    Attributes
    ----------
    studies : set of str
        Keys of the studies of which it has sent objects.
    waiting_bytes : int
        Bytes that have arrived and are not yet an object in the queue.
    cut_off : bool
        Whether we have aborted it.
    """

    studies: set[str] = field(default_factory=set)
    waiting_bytes: int = 0
    cut_off: bool = False


def bound_pdus(association: Association) -> None:
    """End a connection that announces a PDU of gigabytes: pynetdicom would read it into memory."""
    connection: Any = association.dul.socket
    receive = connection.recv

    def bounded(count: int) -> bytearray:
        if count > _MAX_PDU_BYTES:
            raise OSError("a PDU longer than the limit")
        received: bytearray = receive(count)
        return received

    connection.recv = bounded


def unfinished(association: Association) -> list[Path]:
    """Files of objects that were cut off in transit or wait to be handled."""
    messages: list[Any] = [item for _, item in tuple(association.dimse.msg_queue.queue)]
    paths = [getattr(message, "_dataset_path", None) for message in messages]
    paths.append(getattr(association.dimse.message, "_data_set_path", None))
    return [path for path in paths if isinstance(path, Path)]
