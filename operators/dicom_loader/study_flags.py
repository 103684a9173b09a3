"""The flags that loading gives a study as a whole."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from pydicom.uid import JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless

from operators.core.volume import QualityFlag
from operators.dicom_loader.end_to_end import end_to_end_flags
from operators.dicom_loader.geometry import z_range_mm
from operators.dicom_loader.image_file import ImageFile
from operators.dicom_loader.interleaved import interleaved_flags
from operators.dicom_loader.stacks import Stack, table_positions
from operators.dicom_loader.study_headers import StudyHeaders

__all__ = ["study_flags"]


#: These transfer syntaxes lose something. JPEG 2000 may, and then LossyImageCompression says so.
_LOSSY_SYNTAXES = frozenset({JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless})

#: Attributes by which a PACS finds the patient and the order.
_NAMING = frozenset({"PatientName", "PatientID", "IssuerOfPatientID", "AccessionNumber", "StudyID"})


def study_flags(stacks: Sequence[Stack], headers: StudyHeaders, frames: Sequence[str]) -> tuple[QualityFlag, ...]:
    """Flags of a study that was loaded, in the order in which the report shows them.

    Parameters
    ----------
    stacks : sequence of Stack
        The stacks of images that are used, one for each station and contrast.
    headers : StudyHeaders
        What was read of all files, with what was left out.
    frames : sequence of str
        Frame of Reference UIDs of the stacks.
    """
    return (
        *_stack_flags(stacks),
        *_identity_flags(stacks, headers, frames),
        *_source_flags(stacks, headers),
        *_ignored_series(stacks, headers),
    )


def _stack_flags(stacks: Sequence[Stack]) -> list[QualityFlag]:
    """What single stacks, or the stacks of one table position, have that they should not."""
    flags = [
        QualityFlag(
            "contrast-disagreement",
            "warning",
            f"{stack.title}: its {stack.contrast_told_by} says {stack.contrast}, but another part of its header "
            f"contradicts it; {stack.contrast_told_by} was used.",
        )
        for stack in stacks
        if any(frame.disagrees for frame in stack.frames)
    ]
    flags += _several_stacks(stacks)
    flags += interleaved_flags(stacks)
    flags += end_to_end_flags(stacks)
    flags += [
        QualityFlag(
            "missing-slice",
            "warning",
            f"{stack.title}: no slice at {stack.missing_at}; interpolated between its neighbours.",
        )
        for stack in stacks
        if stack.missing
    ]
    for position in table_positions(stacks):
        if not all(stack.grid.same_as(position[0].grid, tolerance_mm=0.1) for stack in position):
            low, high = z_range_mm(position[0].grid)
            message = f"The series at z = {low:.0f} to {high:.0f} mm do not all cover the same voxels."
            flags.append(QualityFlag("contrast-grid-mismatch", "warning", message))
    return flags


def _identity_flags(stacks: Sequence[Stack], headers: StudyHeaders, frames: Sequence[str]) -> Iterator[QualityFlag]:
    """What the headers say, or fail to say, of which images belong together."""
    if any(not stack.files[0].frame_of_reference_uid for stack in stacks):
        yield QualityFlag(
            "no-frame-of-reference",
            "warning",
            "Some series have no frame of reference; they were assumed to share that of the others.",
        )
    if len(frames) > 1:
        yield QualityFlag(
            "frames-of-reference-joined",
            "warning",
            f"{len(frames)} frames of reference were taken as one, as --one-frame-of-reference asks; whether the "
            "stations fit is told by how well they agree where they overlap.",
        )
    studies = {file.study_uid for stack in stacks for file in stack.files}
    if len(studies) > 1:
        yield QualityFlag(
            "studies-joined",
            "warning",
            f"The series name {len(studies)} studies (StudyInstanceUID), none with both water and fat, but one frame "
            "of reference; they were taken for one study that an anonymiser has taken apart.",
        )
    if any(stack.regrouped for stack in stacks):
        yield QualityFlag(
            "series-uid-per-image",
            "warning",
            "Images name series of their own (SeriesInstanceUID); they were put together by series number, "
            "contrast and place.",
        )
    if headers.assumed_texts:
        grave = not _NAMING.isdisjoint(headers.assumed_texts)
        yield QualityFlag(
            "character-set-assumed",
            "warning" if grave else "info",
            f"{', '.join(headers.assumed_texts)}: characters beyond ASCII, of no declared character set and not UTF-8. "
            "They were read as Latin-1. If they are of another set, they are wrong in all outputs that repeat them"
            f"{', and a PACS may not find the patient or the order' if grave else ''}.",
            quantities=(),  # no number depends on it
        )
    if headers.copies:
        yield QualityFlag("image-twice", "info", f"{headers.copies} files hold an image that another file holds too.")
    if headers.shared_uids:
        yield QualityFlag(
            "sop-uid-shared",
            "warning",
            f"{headers.shared_uids} images have the SOP Instance UID of another image; the outputs name them by "
            "UIDs that are derived from it, so they do not refer to the source images.",
        )


def _source_flags(stacks: Sequence[Stack], headers: StudyHeaders) -> Iterator[QualityFlag]:
    """What may be missing from the images, or was lost before they came here."""
    if headers.unplaced:
        yield QualityFlag(
            "image-without-position",
            "warning",
            f"{len(headers.unplaced)} Dixon images that do not say where they lie were left out.",
        )
    if headers.broken_links:
        links = f"{headers.broken_links} link{'s' if headers.broken_links > 1 else ''}"
        yield QualityFlag(
            "broken-links", "warning", f"{links} to files that do not exist were passed over; images may be missing."
        )
    lossy = {stack.files[0].series_uid for stack in stacks if any(_is_lossy(file) for file in stack.files)}
    if lossy:
        yield QualityFlag(
            "lossy-compression",
            "warning",
            f"{len(lossy)} series were compressed with loss; volumes and fat fractions may differ from those of "
            "images as acquired.",
        )


def _ignored_series(stacks: Sequence[Stack], headers: StudyHeaders) -> Iterator[QualityFlag]:
    """``ignored-series`` (info), with how many series were left out and of which kinds."""
    used = {file.series_uid for stack in stacks for file in stack.files}
    others = [other for other in headers.others if other.series_uid not in used]  # some contrasts the images told
    phase = {other.series_uid for other in others if other.kind == "phase"}
    rest = {other.series_uid for other in others if other.kind != "phase"} - phase
    composed = {other.series_uid for other in others if other.kind == "composed"} & rest
    if phase or rest:
        message = (
            f"{len(phase) + len(rest)} series without a Dixon magnitude contrast of a station were left out, "
            f"{len(phase)} of them phase images"
        )
        message += f", {len(composed)} composed or reformatted." if composed else "."
        yield QualityFlag("ignored-series", "info", message)


def _several_stacks(stacks: Sequence[Stack]) -> list[QualityFlag]:
    """``several-stacks-in-series`` (info) for each series and contrast with more than one stack."""
    together: dict[tuple[str, str, str], list[Stack]] = defaultdict(list)
    for stack in stacks:
        if stack.told_by:
            together[stack.files[0].series_uid, stack.contrast.value, stack.told_by].append(stack)
    flags = []
    for (_, contrast, told_by), some in together.items():
        numbers = ", ".join(map(str, sorted({stack.files[0].series_number for stack in some})))
        message = f"series {numbers} ({contrast}): {len(some)} stacks of images in one series, told apart by {told_by}."
        flags.append(QualityFlag("several-stacks-in-series", "info", message))
    return flags


def _is_lossy(file: ImageFile) -> bool:
    return file.acquisition.get("LossyImageCompression") == "01" or file.transfer_syntax_uid in _LOSSY_SYNTAXES
