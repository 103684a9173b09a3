"""Batches that a thread makes while the step before runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from monai.data import ThreadDataLoader
from monai.data.thread_buffer import ThreadBuffer
from torch.utils.data import DataLoader

__all__ = ["LoaderAhead"]


class LoaderAhead(ThreadDataLoader):
    """MONAI's `ThreadDataLoader`, where an error in its thread also ends the training.

    MONAI's thread ends with a note on the screen, and the training goes on with the batches that there were.
    """

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]  # as MONAI's, whose type is not stated
        errors: list[Exception] = []
        batches = DataLoader.__iter__(self)

        def made() -> Iterator[Any]:
            try:
                yield from batches
            except Exception as error:  # raised again, in the thread that trains
                errors.append(error)

        yield from ThreadBuffer(made(), self.buffer_size, self.buffer_timeout)
        if errors:
            raise errors[0]
