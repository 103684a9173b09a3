"""Enhanced MR objects (PS3.3 A.36): several series of the phantom in one file, frame by frame.

What varies from frame to frame is in per-frame functional groups, the rest in
shared ones, as scanners do.
"""

from __future__ import annotations

import copy
import io
from collections.abc import Iterator, Sequence
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.filewriter import dcmwrite
from pydicom.sequence import Sequence as Items
from pydicom.sr.codedict import codes
from pydicom.uid import EnhancedMRImageStorage, ExplicitVRLittleEndian

from operators.core.volume import Contrast
from phantom.dicom_files import DicomFile, Dress, decimal, series_header
from phantom.dicom_series import Patient, Series, deterministic_uid
from phantom.dixon_signal import ECHO_TIME_IN_MS, ECHO_TIME_OPPOSED_MS
from phantom.vendors.vendor import EnhancedWriting

__all__ = ["enhanced_files"]

#: Attributes of classic images that an Enhanced MR keeps in functional groups, or does not have.
_CLASSIC_ONLY = (
    *("ImageOrientationPatient", "PixelSpacing", "SliceThickness", "SpacingBetweenSlices", "WindowCenter"),
    *("WindowWidth", "ScanningSequence", "SequenceVariant", "ScanOptions", "SequenceName", "AngioFlag"),
    *("RepetitionTime", "EchoTime", "EchoNumbers", "EchoTrainLength", "FlipAngle", "ImagingFrequency"),
    *("ImagedNucleus", "NumberOfAverages", "PixelBandwidth", "InPlanePhaseEncodingDirection", "AcquisitionMatrix"),
    *("BodyPartExamined", "AcquisitionDate", "AcquisitionTime", "RescaleSlope", "RescaleIntercept", "RescaleType"),
)
_ACQUISITION_SECONDS = 17.0


def enhanced_files(
    series: Sequence[Series], patient: Patient, writing: EnhancedWriting, dress: Dress
) -> Iterator[DicomFile]:
    """One file for each group of series that a vendor writes together.

    Parameters
    ----------
    series : sequence of Series
    patient : Patient
    writing : EnhancedWriting
    dress : callable
        Changes the classic header of the first slice, before it becomes that of the object.
    """
    groups: dict[object, list[Series]] = {}
    for one in series:
        groups.setdefault(writing.together(one), []).append(one)
    for together in groups.values():
        first = together[0]
        header = _object(together, patient, dress)
        writing.dress_object(header, together)
        if header.ImageType[0] == "DERIVED":
            del header.MRAcquisitionType  # a derived image has no pulse sequence of its own
        else:
            _pulse_sequence(header)
        frames: list[tuple[Dataset, NDArray[np.uint16]]] = []
        for one in together:
            for k in np.argsort(one.instance_numbers):
                item = _frame(one, int(k), len(frames))
                writing.dress_frame(item, one, int(k))
                frames.append((item, one.voxels[k]))
        header.PerFrameFunctionalGroupsSequence = Items([item for item, _ in frames])
        header.NumberOfFrames = len(frames)
        header.PixelData = np.stack([pixels for _, pixels in frames]).astype("<u2").tobytes()
        buffer = io.BytesIO()
        dcmwrite(buffer, header, enforce_file_format=True)
        yield DicomFile(
            f"{first.number:03d}_{first.description}", "0001.dcm", first, header.SOPInstanceUID, buffer.getvalue()
        )


def _object(together: Sequence[Series], patient: Patient, dress: Dress) -> Dataset:
    first = together[0]
    header = series_header(first, patient)
    dress(header, first, 0)
    uid = deterministic_uid(first.uid, "enhanced")
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header.file_meta.MediaStorageSOPClassUID = header.SOPClassUID = EnhancedMRImageStorage
    header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID = uid
    private = {element.tag.group for element in header if element.tag.is_private}
    header.SharedFunctionalGroupsSequence = Items([_shared(header, first)])
    for keyword in _CLASSIC_ONLY:
        header.pop(keyword, None)
    for group in private:  # they belong into the frames
        for tag in list(header.group_dataset(group).keys()):
            del header[tag]
    header.InstanceNumber = 1
    header.ContentTime = (first.acquired + timedelta(seconds=_ACQUISITION_SECONDS)).strftime("%H%M%S.%f")
    header.AcquisitionDateTime = first.acquired.strftime("%Y%m%d%H%M%S.%f")
    header.AcquisitionDuration = _ACQUISITION_SECONDS
    header.DeviceSerialNumber = "0"
    header.ContentQualification = "RESEARCH"
    header.ResonantNucleus, header.KSpaceFiltering, header.ApplicableSafetyStandardAgency = "1H", "NONE", "IEC"
    header.MagneticFieldStrength = 1.5
    header.PixelPresentation, header.VolumetricProperties = "MONOCHROME", "VOLUME"
    header.VolumeBasedCalculationTechnique, header.ComplexImageComponent = "NONE", "MAGNITUDE"
    header.AcquisitionContrast, header.PresentationLUTShape = "T1", "IDENTITY"
    header.AcquisitionContextSequence = Items([])
    _dimensions(header, uid)
    return header


def _pulse_sequence(header: Dataset) -> None:
    """MR Pulse Sequence module (PS3.3 C.8.13.4): a spoiled 3-D gradient echo."""
    header.PulseSequenceName, header.MRAcquisitionType, header.EchoPulseSequence = "fl3d2", "3D", "GRADIENT"
    header.MultiPlanarExcitation, header.PhaseContrast = "NO", "NO"
    header.TimeOfFlightContrast = "NO"
    header.SteadyStatePulseSequence, header.EchoPlanarPulseSequence = "NONE", "NO"
    header.SaturationRecovery, header.SpectrallySelectedSuppression = "NO", "NONE"
    header.OversamplingPhase, header.GeometryOfKSpaceTraversal = "NONE", "RECTILINEAR"
    header.RectilinearPhaseEncodeReordering, header.SegmentedKSpaceTraversal = "LINEAR", "SINGLE"
    header.CoverageOfKSpace, header.NumberOfKSpaceTrajectories = "FULL", 1


def _dimensions(header: Dataset, uid: str) -> None:
    """Frames are told apart by stack, place in it and contrast (PS3.3 C.7.6.17)."""
    organization, index = Dataset(), []
    organization.DimensionOrganizationUID = deterministic_uid(uid, "dimensions")
    for pointer, group in (("StackID", "FrameContentSequence"), ("InStackPositionNumber", "FrameContentSequence")):
        item = Dataset()
        item.DimensionOrganizationUID = organization.DimensionOrganizationUID
        item.DimensionIndexPointer, item.FunctionalGroupPointer = _tag(pointer), _tag(group)
        index.append(item)
    header.DimensionOrganizationSequence, header.DimensionIndexSequence = Items([organization]), Items(index)


def _tag(keyword: str) -> int:
    tag = tag_for_keyword(keyword)
    assert tag is not None
    return tag


def _shared(header: Dataset, series: Series) -> Dataset:
    rows, columns = series.voxels.shape[1:]
    shared = Dataset()
    shared.PixelMeasuresSequence = _one(
        PixelSpacing=copy.copy(header.PixelSpacing),
        SliceThickness=decimal(series.slice_mm),
        SpacingBetweenSlices=decimal(series.slice_mm),
    )
    shared.PlaneOrientationSequence = _one(ImageOrientationPatient=list(header.ImageOrientationPatient))
    region = codes.SCT.LowerLimb
    code = _one(CodeValue=region.value, CodingSchemeDesignator="SCT", CodeMeaning=region.meaning)
    shared.FrameAnatomySequence = _one(FrameLaterality="U", AnatomicRegionSequence=code)
    shared.FrameVOILUTSequence = _one(WindowCenter="250", WindowWidth="500")
    shared.MRTimingAndRelatedParametersSequence = _one(
        RepetitionTime="6.53",
        FlipAngle="10",
        EchoTrainLength=1,
        RFEchoTrainLength=0,
        GradientEchoTrainLength=2,
        SpecificAbsorptionRateSequence=_one(
            SpecificAbsorptionRateDefinition="IEC_WHOLE_BODY", SpecificAbsorptionRateValue=0.1
        ),
        GradientOutputType="DB_DT",
        GradientOutput=0.0,
        OperatingModeSequence=_one(OperatingModeType="STATIC FIELD", OperatingMode="IEC_NORMAL"),
    )
    shared.MRFOVGeometrySequence = _one(
        InPlanePhaseEncodingDirection="COLUMN",
        MRAcquisitionFrequencyEncodingSteps=columns,
        MRAcquisitionPhaseEncodingStepsInPlane=rows,
        MRAcquisitionPhaseEncodingStepsOutOfPlane=len(series.voxels),
        PercentSampling="100",
        PercentPhaseFieldOfView="100",
    )
    shared.MRModifierSequence = _one(
        InversionRecovery="NO",
        FlowCompensation="NONE",
        Spoiling="RF",
        T2Preparation="NO",
        SpectrallySelectedExcitation="NONE",
        SpatialPresaturation="NONE",
        PartialFourier="NO",
        ParallelAcquisition="NO",
    )
    shared.MRImagingModifierSequence = _one(
        MagnetizationTransfer="NONE",
        BloodSignalNulling="NO",
        Tagging="NONE",
        TransmitterFrequency=63.68,
        PixelBandwidth="1110",
    )
    shared.MRReceiveCoilSequence = _one(
        ReceiveCoilName="BODY",
        ReceiveCoilManufacturerName="",
        ReceiveCoilType="BODY",
        QuadratureReceiveCoil="YES",
    )
    shared.MRTransmitCoilSequence = _one(
        TransmitCoilName="BODY", TransmitCoilManufacturerName="", TransmitCoilType="BODY"
    )
    shared.MRAveragesSequence = _one(NumberOfAverages="1")
    return shared


def _frame(series: Series, k: int, number: int) -> Dataset:
    opposed = series.contrast is Contrast.OPPOSED
    place = int(np.argsort(np.argsort(series.slice_z_mm))[k]) + 1
    moment = series.acquired.strftime("%Y%m%d%H%M%S.%f")
    groups = Dataset()
    groups.FrameContentSequence = _one(
        FrameAcquisitionNumber=1,
        FrameReferenceDateTime=moment,
        FrameAcquisitionDateTime=moment,
        FrameAcquisitionDuration=_ACQUISITION_SECONDS,
        StackID="1",
        InStackPositionNumber=place,
        TemporalPositionIndex=1,
        DimensionIndexValues=[1, place],
    )
    groups.PlanePositionSequence = _one(ImagePositionPatient=[decimal(mm) for mm in series.position_mm(k)])
    groups.MREchoSequence = _one(EffectiveEchoTime=ECHO_TIME_OPPOSED_MS if opposed else ECHO_TIME_IN_MS)
    groups.MRImageFrameTypeSequence = _one(
        PixelPresentation="MONOCHROME",
        VolumetricProperties="VOLUME",
        VolumeBasedCalculationTechnique="NONE",
        ComplexImageComponent="MAGNITUDE",
        AcquisitionContrast="T1",
    )
    groups.PixelValueTransformationSequence = _one(RescaleIntercept="0", RescaleSlope="1", RescaleType="US")
    return groups


def _one(**values: object) -> Items:
    """A sequence of one item with these attributes."""
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return Items([item])
