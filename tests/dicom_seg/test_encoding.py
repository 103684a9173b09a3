"""Our DICOM files have the bytes that pydicom and highdicom would have written."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, JPEGLSLossless, RLELossless

from operators.core.dicom_objects import plane_positions
from operators.core.dicom_objects.encoding import encoded_element, encoded_elements, write_file
from operators.core.errors import InternalError
from operators.core.options import DicomOptions
from operators.core.volume import Contrast, Grid, Volume
from operators.derived_series import derive, write_derived
from operators.dicom_seg_writer import make_seg
from operators.dicom_seg_writer.writer import _by_highdicom
from tests import box_body

# pydicom warns about values that are too long, which is what is tested.
pytestmark = pytest.mark.filterwarnings("ignore:The value")


def meta_of(dataset: Dataset) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = dataset.SOPClassUID, dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return meta


def by_pydicom(dataset: Dataset) -> bytes:
    file = BytesIO()
    pydicom.dcmwrite(file, dataset, enforce_file_format=True)
    return file.getvalue()


def every_kind() -> Dataset:
    """A data set with every value representation, long, empty and nested values, and elements read from a file."""
    item = Dataset()
    item.CodeMeaning, item.ReferencedFrameNumber = "Müskel", [1, 2, 3]
    item.is_undefined_length_sequence_item = True
    nested = Dataset()
    nested.ConceptCodeSequence = [item, Dataset()]
    made = Dataset()
    made.SpecificCharacterSet = "ISO_IR 192"
    made.SOPClassUID, made.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.4", "2.25.7"
    made.PatientName, made.PatientID, made.PatientAge = "Gröbe^Ann", "", "045Y"
    made.StudyDate, made.StudyTime, made.AcquisitionDateTime = "20200102", None, "20200102030405.5"
    made.ImageType = ["DERIVED", "SECONDARY", "ODD"]
    made.ImagePositionPatient = ["-1.50", "2", "3.25"]
    made.SliceThickness, made.InstanceNumber, made.EchoTime = 2.5, "007", None
    made.Rows, made.SmallestImagePixelValue, made.TagAngleSecondAxis = 3, 0, -4
    made.PixelRepresentation, made.FrameIncrementPointer = 1, 0x00181063
    made.RecommendedDisplayFrameRateInFloat, made.RealWorldValueSlope = 1.5, 2.25
    made.ReferencedSamplePositions, made.SimpleFrameList = [1, 2], [9]
    made.ImageComments, made.RetrieveURL, made.LongCodeValue = "ü" * 40000, "https://example.org/a", "odd"
    made.ContentSequence, made.DerivationCodeSequence = Sequence([nested]), []
    made["ContentSequence"].is_undefined_length = False
    made.add_new(0x00091001, "UN", b"\1\2\3\4")
    made.add_new(0x00091002, "LO", "x" * 70000)  # too long for its header
    file = BytesIO()
    made.file_meta = meta_of(made)
    pydicom.dcmwrite(file, made, enforce_file_format=True)
    read = pydicom.dcmread(BytesIO(file.getvalue()))
    raw = read.get_item("ImagePositionPatient")
    assert isinstance(raw, pydicom.dataelem.RawDataElement)
    made[0x00081030] = raw._replace(tag=pydicom.tag.Tag(0x00081030), VR="LO")
    made.PixelData = b"\1\2\3"
    made["PixelData"].VR = "OB"
    return made


def test_every_kind_of_element_has_the_bytes_of_pydicom(tmp_path: Path) -> None:
    made = every_kind()
    write_file(tmp_path / "a.dcm", made, meta_of(made))
    assert (tmp_path / "a.dcm").read_bytes() == by_pydicom(made)
    write_file(tmp_path / "b.dcm", made, meta_of(made), known=encoded_elements(made))
    assert (tmp_path / "b.dcm").read_bytes() == by_pydicom(made)


def test_text_of_another_character_set_is_refused(tmp_path: Path) -> None:
    made = every_kind()
    made.SpecificCharacterSet = "ISO_IR 100"
    with pytest.raises(InternalError, match="ISO_IR 192"):
        write_file(tmp_path / "a.dcm", made, meta_of(made))
    made.SpecificCharacterSet = "ISO_IR 192"
    made.ContentSequence[0].SpecificCharacterSet = "ISO_IR 100"
    with pytest.raises(InternalError, match="nested"):
        write_file(tmp_path / "a.dcm", made, meta_of(made))


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless, JPEGLSLossless], ids=lambda uid: uid.name)
def test_derived_images_have_the_bytes_of_pydicom(tmp_path: Path, syntax: pydicom.uid.UID) -> None:
    fused = box_body.fused_of(box_body.grid())
    for path in write_derived(tmp_path / "water", derive(fused, box_body.study_of(fused)), syntax)[:3]:
        assert path.read_bytes() == by_pydicom(pydicom.dcmread(path))


@pytest.mark.parametrize("flip", [1.0, -1.0], ids=["planes-upwards", "planes-downwards"])
@pytest.mark.parametrize("columns", [16, 15], ids=["whole-bytes", "frames-end-within-bytes"])
def test_frames_of_a_binary_segmentation_are_those_of_highdicom(flip: float, columns: int) -> None:
    shape = (7, 10, columns)
    grid = Grid(shape, np.diag([2.0, -2.5, 3.0 * flip, 1.0]))
    labels = np.random.default_rng(3).integers(0, 5, shape).astype(np.uint8)
    labels[[0, 4]] = 0
    labels[3][labels[3] == 2] = 0
    labels[1, 0, 0] = 27
    fused = box_body.fused_of(grid, contrasts=(Contrast.WATER, Contrast.FAT))
    study = box_body.study_of(fused)
    derived = [derive(fused, study, contrast) for contrast in (Contrast.WATER, Contrast.FAT)]
    ours = make_seg(Volume(labels, grid), derived, study, box_body.MODEL)
    theirs = _by_highdicom(
        labels,
        plane_positions(grid),
        derived,
        study,
        box_body.MODEL,
        DicomOptions(),
        (ours.SeriesInstanceUID,),
        adipose=False,
    )
    frames, references = "PerFrameFunctionalGroupsSequence", ("SourceImageSequence", "ReferencedSeriesSequence")
    for name in (frames, "SharedFunctionalGroupsSequence", *references):
        assert encoded_element(ours[name], ours) == encoded_element(theirs[name], theirs)
    assert ours.NumberOfFrames == theirs.NumberOfFrames == len(ours.PerFrameFunctionalGroupsSequence)
    used = -(-int(ours.NumberOfFrames) * 10 * columns // 8)
    assert ours.PixelData[:used] == theirs.PixelData[:used]
    assert ours.PixelData[used:].strip(b"\0") == b""  # highdicom pads with the character 0 instead
