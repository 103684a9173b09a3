"""What a classic or an Enhanced MR object says about each of its images, from wherever it keeps it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydicom.dataset import Dataset

from operators.core.errors import DicomError
from operators.dicom_loader.contrast_evidence import HeaderWords
from operators.dicom_loader.elements import Values
from operators.dicom_loader.header_texts import said
from operators.dicom_loader.private_elements import (
    GE_COMPLEX_COMPONENT,
    PHILIPS_FRAME,
    PHILIPS_IMAGE_TYPE,
    PHILIPS_SCALE_SLOPE,
    SIEMENS_FRAME,
    SIEMENS_IMAGE_TYPE,
    has_private,
    private_item,
    private_number,
    private_texts,
)

__all__ = ["View", "classic_view", "frame_views", "listed", "word"]


@dataclass(frozen=True)
class View:
    """The attributes of one frame, from wherever its SOP class keeps them."""

    words: HeaderWords
    stack: str
    position: Any
    orientation: Any
    spacing: Any
    rows: Any
    columns: Any
    slope: Any
    intercept: Any
    thickness: Any
    distance: Any
    acquisition_number: Any
    temporal_position: Any
    private_slope: float | None


def classic_view(header: Values) -> View:
    """The only image of a classic MR object."""
    private_image_type: tuple[str, ...] = ()
    ge_component, private_slope = "", None
    if has_private(header):
        private_image_type = private_texts(header, PHILIPS_IMAGE_TYPE) or private_texts(header, SIEMENS_IMAGE_TYPE)[2:]
        ge_component = "".join(private_texts(header, GE_COMPLEX_COMPONENT))
        private_slope = private_number(header, PHILIPS_SCALE_SLOPE)
    return View(
        words=HeaderWords(
            image_type=tuple(listed(header.get("ImageType"))),
            private_image_type=private_image_type,
            complex_component=str(header.get("ComplexImageComponent") or ""),
            ge_component=ge_component,
            description=str(header.get("SeriesDescription") or ""),
            protocol=str(header.get("ProtocolName") or ""),
            echo_time_ms=word(header.get("EchoTime")),
            field_tesla=word(header.get("MagneticFieldStrength")),
        ),
        stack="",
        position=header.get("ImagePositionPatient"),
        orientation=header.get("ImageOrientationPatient"),
        spacing=header.get("PixelSpacing"),
        rows=header.get("Rows"),
        columns=header.get("Columns"),
        slope=header.get("RescaleSlope"),
        intercept=header.get("RescaleIntercept"),
        thickness=said(header, "SliceThickness"),
        distance=said(header, "SpacingBetweenSlices"),
        acquisition_number=header.get("AcquisitionNumber"),
        temporal_position=header.get("TemporalPositionIdentifier"),
        private_slope=private_slope,
    )


def frame_views(header: Values, where: str) -> list[View]:
    """One view per frame of an Enhanced MR: per-frame functional groups, then shared ones (PS3.3 C.7.6.16)."""
    per_frame = header.get("PerFrameFunctionalGroupsSequence") or []
    shared_groups = header.get("SharedFunctionalGroupsSequence") or []
    shared = shared_groups[0] if len(shared_groups) else Dataset()
    count = int(header.get("NumberOfFrames") or 0)
    if count < 1 or len(per_frame) != count:
        raise DicomError(
            where,
            f"{count} frames with {len(per_frame)} per-frame functional groups",
            "one functional group for each frame",
            "Export the object again.",
        )

    views = []
    for groups in per_frame:

        def macro(keyword: str, groups: Dataset = groups) -> Dataset:
            sequence = groups.get(keyword) or shared.get(keyword) or [Dataset()]
            return sequence[0]

        frame_type = macro("MRImageFrameTypeSequence")
        transformation = macro("PixelValueTransformationSequence")
        content = macro("FrameContentSequence")
        measures = macro("PixelMeasuresSequence")
        converted = macro("UnassignedPerFrameConvertedAttributesSequence")
        image_type = frame_type.get("FrameType") or converted.get("ImageType") or header.get("ImageType")
        component = frame_type.get("ComplexImageComponent") or header.get("ComplexImageComponent")
        philips = private_item(groups, PHILIPS_FRAME) or Dataset()
        siemens = private_item(groups, SIEMENS_FRAME) or Dataset()
        views.append(
            View(
                words=HeaderWords(
                    image_type=tuple(listed(image_type)),
                    private_image_type=private_texts(philips, PHILIPS_IMAGE_TYPE)
                    or tuple(listed(philips.get("ImageType"))[2:])
                    or private_texts(siemens, SIEMENS_IMAGE_TYPE)[2:],
                    complex_component=str(component or ""),
                    description=str(header.get("SeriesDescription") or ""),
                    protocol=str(header.get("ProtocolName") or ""),
                    echo_time_ms=word(macro("MREchoSequence").get("EffectiveEchoTime") or converted.get("EchoTime")),
                    field_tesla=word(header.get("MagneticFieldStrength")),
                ),
                stack=str(content.get("StackID") or ""),
                position=macro("PlanePositionSequence").get("ImagePositionPatient"),
                orientation=macro("PlaneOrientationSequence").get("ImageOrientationPatient"),
                spacing=measures.get("PixelSpacing"),
                rows=header.get("Rows"),
                columns=header.get("Columns"),
                slope=transformation.get("RescaleSlope"),
                intercept=transformation.get("RescaleIntercept"),
                thickness=said(measures, "SliceThickness"),
                distance=said(measures, "SpacingBetweenSlices") or said(converted, "SpacingBetweenSlices"),
                acquisition_number=content.get("FrameAcquisitionNumber") or converted.get("AcquisitionNumber"),
                temporal_position=content.get("TemporalPositionIndex"),
                private_slope=private_number(philips, PHILIPS_SCALE_SLOPE),
            )
        )
    return views


def word(value: Any) -> str:
    """A value as text; empty for none."""
    return "" if value is None else str(value)


def listed(value: Any) -> list[str]:
    """One or several values as texts."""
    if value is None:
        return []
    return [value] if isinstance(value, str) else [str(text) for text in value]
