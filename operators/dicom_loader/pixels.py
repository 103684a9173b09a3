"""The pixel pass: decode the frames of a study into its stations' volumes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from pydicom.encaps import encapsulate, get_frame
from pydicom.pixels import get_decoder
from pydicom.uid import UID

from operators.core.errors import DicomError, SarcoMapError
from operators.core.threads import thread_count
from operators.dicom_loader.codecs import CODECS, DECODED_HERE, StreamError, decode_frame
from operators.dicom_loader.frames import Frame
from operators.dicom_loader.image_file import ImageFile
from operators.dicom_loader.source import Source
from operators.dicom_loader.stored_values import stored_values

__all__ = ["Target", "check_transfer_syntaxes", "decode_into", "decoded_frames", "same_image"]

#: Most of the decoding time is in zlib and codecs, which release the GIL. More threads than this only use more memory.
_MOST_THREADS = 4
#: Files in one task of a thread: submitting a file on its own costs a third of the time to decode it.
_BATCH = 16


@dataclass(frozen=True)
class Target:
    """Destination of one frame of a file: ``voxels[slice_index]``, float32."""

    frame: Frame
    voxels: NDArray[np.float32]
    slice_index: int


def check_transfer_syntaxes(files: Sequence[ImageFile], where: str) -> None:
    """Check, before anything is decoded, that the installed decoders can read all files.

    Raises
    ------
    DicomError
        For a transfer syntax that no installed decoder reads.
    """
    for syntax, file in {file.transfer_syntax_uid: file for file in reversed(files)}.items():
        uid = UID(syntax)
        if uid in DECODED_HERE:
            continue
        try:
            available = get_decoder(uid).is_available
        except NotImplementedError:
            available = False
        if not available:
            raise DicomError(
                f"{where}, file {file.file}",
                f"transfer syntax {uid.name} ({uid}), which no installed package decodes",
                f"uncompressed, RLE, {', '.join(codec.name for codec in CODECS)} images",
                "Export the study uncompressed.",
            )


def same_image(source: Source, one: ImageFile, other: ImageFile) -> bool:
    """Whether two files hold the same image: the same place and the same pixels, however they are compressed."""
    places = [[frame.position_mm.tolist() for frame in file.frames] for file in (one, other)]
    sizes = [[(frame.rows, frame.columns) for frame in file.frames] for file in (one, other)]
    if places[0] != places[1] or sizes[0] != sizes[1]:
        return False
    if one.transfer_syntax_uid == other.transfer_syntax_uid:
        return _pixel_bytes(source, one) == _pixel_bytes(source, other)
    return np.array_equal(_signal(source, one), _signal(source, other))


def _signal(source: Source, file: ImageFile) -> NDArray[np.float32]:
    check_transfer_syntaxes([file], source.name)
    first = file.frames[0]
    voxels = np.empty((len(file.frames), first.rows, first.columns), dtype=np.float32)
    targets = [Target(frame, voxels, number) for number, frame in enumerate(file.frames)]
    decode_into(source, [(file, targets)], lambda: None)
    return voxels


def _pixel_bytes(source: Source, file: ImageFile) -> bytes:
    with source.open(file.file) as stream:
        stream.seek(file.pixels.offset)
        return stream.read(-1 if file.pixels.length == 0xFFFFFFFF else file.pixels.length)


def decode_into(
    source: Source, work: Sequence[tuple[ImageFile, Sequence[Target]]], done: Callable[[], None]
) -> Counter[str]:
    """Decode each file's frames into their targets, on a few threads.

    Parameters
    ----------
    work : sequence of (file, targets)
    done : callable
        Called once per file, from the calling thread.

    Returns
    -------
    Counter of str
        How many frames have an unusual encoding, by `Stored.notes`.

    Raises
    ------
    DicomError
        For damaged pixels, or pixels that do not match the header; the error names the file.
    """
    notes: Counter[str] = Counter()
    threads = min(_MOST_THREADS, thread_count())
    with ThreadPoolExecutor(threads, thread_name_prefix="dicom-decode") as executor:
        batches = [work[n : n + _BATCH] for n in range(0, len(work), _BATCH)]
        futures = [executor.submit(_decode_files, source, batch) for batch in batches]
        try:
            for batch, future in zip(batches, futures, strict=True):
                notes.update(future.result())
                for _ in batch:
                    done()
        except BaseException:
            executor.shutdown(cancel_futures=True)
            raise
    return notes


def decoded_frames(source: Source, images: Sequence[tuple[ImageFile, Frame]]) -> list[NDArray[Any]]:
    """Frames as their decoder gives them."""
    nowhere = np.empty((0, 0, 0), dtype=np.float32)
    decoded = []
    for file, frame in images:
        with source.open(file.file) as stream, closing(_frames(stream, file, [Target(frame, nowhere, 0)])) as found:
            decoded += list(found)
    return decoded


def _decode_files(source: Source, batch: Sequence[tuple[ImageFile, Sequence[Target]]]) -> list[str]:
    return [note for file, targets in batch for note in _decode_file(source, file, targets)]


def _decode_file(source: Source, file: ImageFile, targets: Sequence[Target]) -> list[str]:
    where = f"{source.name}, file {file.file}"
    remedy = "Fetch this file again."
    notes: list[str] = []
    try:
        with (
            source.open(file.file) as stream,
            # Closed before the file, because it seeks in the file when it ends.
            closing(_frames(stream, file, targets)) as images,
        ):
            for target, image in zip(targets, images, strict=True):
                if image.shape != target.voxels.shape[1:]:
                    raise DicomError(where, f"{image.shape} pixels", f"the header's {target.voxels.shape[1:]}", remedy)
                stored = stored_values(image.byteswap() if file.byte_swapped else image, file.encoding)
                notes += stored.notes
                target.voxels[target.slice_index] = _rescaled(stored.values, target.frame, where)
                if stored.padding is not None:
                    target.voxels[target.slice_index][stored.padding] = 0
    except SarcoMapError:
        raise
    except Exception as error:  # each decoder raises its own types
        raise DicomError(
            where, f"truncated or damaged pixel data ({type(error).__name__})", "the pixels its header states", remedy
        ) from error
    return notes


def _rescaled(stored: NDArray[Any], frame: Frame, where: str) -> NDArray[Any]:
    """Signal = slope x stored value + intercept, finite in float32."""
    if frame.slope == 1 and frame.intercept == 0 and stored.dtype.kind in "iu":
        return stored
    with np.errstate(over="ignore"):  # an overflow is refused below
        signal = (stored * np.float64(frame.slope) + frame.intercept).astype(np.float32)
    if not np.isfinite(signal).all():
        raise DicomError(
            where, "voxels that are not finite after rescaling", "finite signal", "Export the series again."
        )
    return signal


def _frames(stream: BinaryIO, file: ImageFile, targets: Sequence[Target]) -> Generator[NDArray[Any], None, None]:
    stream.seek(file.pixels.offset)
    # `stored_values` looks at all bits first.
    options: dict[str, Any] = {**file.pixel_options, "correct_unused_bits": False}
    indices = [target.frame.index for target in targets]
    if file.pixels.vr:
        options["pixel_vr"] = file.pixels.vr
    if file.transfer_syntax_uid in DECODED_HERE:
        offsets = {"extended_offsets": options.get("extended_offsets"), "number_of_frames": options["number_of_frames"]}
        for index in indices:
            encoded = get_frame(stream, index, **offsets)
            try:
                yield decode_frame(encoded, file.transfer_syntax_uid, options)
            except StreamError:
                raise
            except Exception as error:  # whatever imagecodecs raises for a kind of stream that it does not know
                yield _decoded_by_pydicom(encoded, file.transfer_syntax_uid, options, error)
        return
    decoder = get_decoder(UID(file.transfer_syntax_uid))
    for image, _ in decoder.iter_array(stream, indices=indices, raw=True, pixel_keyword="PixelData", **options):
        yield image


def _decoded_by_pydicom(encoded: bytes, syntax: str, options: dict[str, Any], error: Exception) -> NDArray[Any]:
    """One frame by pydicom's decoders; raise ``error`` where none of them reads it either.

    GDCM is left out: on some damaged streams it ends the process.
    """
    decoder = get_decoder(UID(syntax))
    single = {key: value for key, value in options.items() if key != "extended_offsets"}
    single |= {"number_of_frames": 1, "pixel_keyword": "PixelData", "correct_unused_bits": False}
    for plugin in decoder.available_plugins:
        if plugin == "gdcm":
            continue
        with suppress(Exception):
            image, _ = decoder.as_array(encapsulate([encoded]), raw=True, decoding_plugin=plugin, **single)
            return image
    raise error
