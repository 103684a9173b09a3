"""What headers say about contrast, contrast agent and scale, also where vendors say it in private."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import ImplicitVRLittleEndian

from operators.core.errors import DicomError
from operators.core.volume import Contrast, Study
from operators.dicom_loader import load_study
from operators.dicom_loader.contrast_agent import agent_told_by
from operators.dicom_loader.contrast_evidence import HeaderWords, contrast_of_echo_time, kind_of
from tests.dicom_loader.dicom_maker import Change, raw_decimal, write_study

CODES = {"W": "W", "F": "F", "in": "IP", "opp": "OP"}


def loaded(folder: Path, change: Change) -> Study:
    write_study(folder, stations=1, change=change)
    return load_study(folder)


def contrast_code(header: Dataset) -> str:
    """``W``, ``F``, ``in`` or ``opp``, from the maker's description."""
    return str(header.SeriesDescription).rpartition("_")[2]


def philips(header: Dataset, creator: str = "Philips MR Imaging DD 001", vr: str = "CS", block: int = 0x10) -> None:
    """Leave the contrast to (2005,xx11) alone."""
    code = CODES[contrast_code(header)]
    header.ImageType, header.SeriesDescription = ["ORIGINAL", "PRIMARY", "M_FFE", "M", "FFE"], "legs"
    header.add_new((0x2005, block), "LO", creator)
    header.add_new((0x2005, block << 8 | 0x11), vr, code if vr == "CS" else (code + " ")[:2].encode())


@pytest.mark.parametrize("block", [0x10, 0x13])
@pytest.mark.parametrize("vr", ["CS", "UN"])
def test_a_private_image_type_tells_where_the_public_one_is_silent(tmp_path: Path, block: int, vr: str) -> None:
    study = loaded(tmp_path, lambda header: philips(header, vr=vr, block=block))
    assert {s.contrast for s in study.stations} == set(Contrast)
    assert {s.contrast_told_by for s in study.stations} == {"private tag"}
    water = next(s for s in study.stations if s.contrast is Contrast.WATER)
    assert water.contrast_evidence == {"ImageType": None, "private tag": "water", "description": None}


def test_it_is_read_in_implicit_encoding_too(tmp_path: Path) -> None:
    def change(header: Dataset) -> None:
        philips(header)
        header.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian

    assert {s.contrast_told_by for s in loaded(tmp_path, change).stations} == {"private tag"}


def test_the_same_element_of_another_creator_means_nothing(tmp_path: Path) -> None:
    with pytest.raises(DicomError, match="none of them a Dixon magnitude contrast"):
        loaded(tmp_path, lambda header: philips(header, creator="ANOTHER VENDOR 001"))


def test_image_type_outweighs_what_contradicts_it_and_the_contradiction_is_flagged(tmp_path: Path) -> None:
    def change(header: Dataset) -> None:
        block = header.private_block(0x2005, "Philips MR Imaging DD 001", create=True)
        block.add_new(0x11, "CS", "F")

    study = loaded(tmp_path, change)
    assert {s.contrast_told_by for s in study.stations} == {"ImageType"}
    assert sum(flag.code == "contrast-disagreement" for flag in study.flags) == 3


def test_a_siemens_image_type_that_names_kinds_and_contrast() -> None:
    kind = kind_of(HeaderWords(("DERIVED", "PRIMARY", "M", "NONE"), ("DIXON", "FAT", "DIS2D")))
    assert (kind.contrast, kind.told_by) == (Contrast.FAT, "private tag")


@pytest.mark.parametrize("component", ["1", "2", "3"])
def test_ge_says_in_private_that_an_image_is_no_magnitude(component: str) -> None:
    words = HeaderWords(("ORIGINAL", "PRIMARY", "OTHER"), ge_component=component, description="WATER: Ax LAVA-Flex")
    assert kind_of(words).phase
    assert not kind_of(words._replace(ge_component="0")).phase
    # Other sequences of GE use the number otherwise: an ImageType that names the contrast outweighs it.
    assert not kind_of(words._replace(image_type=("DERIVED", "PRIMARY", "DIXON", "WATER"))).phase


@pytest.mark.parametrize(
    ("echo_time", "field", "expected"),
    [
        ("2.39", "1.5", Contrast.OPPOSED),
        ("4.77", "1.5", Contrast.IN),
        ("1.23", "3", Contrast.OPPOSED),
        ("2.46", "2.89", Contrast.IN),
        ("3.6", "1.5", None),
        ("0", "1.5", None),
        ("", "3", None),
        ("nan", "3", None),
        ("1e999", "3", None),
    ],
)
def test_echo_times_in_phase_and_opposed(echo_time: str, field: str, expected: Contrast | None) -> None:
    assert contrast_of_echo_time(echo_time, field) is expected


@pytest.mark.parametrize("agent", ["gadobutrol", "Dotarem 0.1", "GADOVIST 7,5 ML", "yes"])
def test_an_agent_is_told_by_its_tag(agent: str) -> None:
    assert agent_told_by(agent, "Dixon_W") == "ContrastBolusAgent"


@pytest.mark.parametrize("agent", ["", "NONE", "none ", "No", "-", "0", "n/a", "Non-contrast", "NATIVE"])
def test_words_for_no_agent_are_none(agent: str) -> None:
    assert agent_told_by(agent, "pre_contrast_dixon_W") == ""


@pytest.mark.parametrize(
    "text",
    [
        *("T1w_abdomen_post_contrast_dixon_cor_bh_W", "WATER: Ax LAVA-Flex +C", "dixon postGd", "dixon gado W"),
        *("Dixon nach KM W", "dixon_W_C+", "LAVA-Flex après injection", "DIXON con contraste"),
    ],
)
def test_a_description_tells_of_an_agent(text: str) -> None:
    assert agent_told_by("", text) == "description"


@pytest.mark.parametrize(
    "text", ["Dixon C-/C+", "dixon w/wo Gd", "dixon ohne KM", "pre contrast dixon", "SPAIR dixon W"]
)
def test_other_descriptions_tell_of_none(text: str) -> None:
    assert agent_told_by("", text) == ""


@pytest.mark.parametrize(("volume", "told"), [("7.5", "ContrastBolusAgent"), ("0", ""), ("", ""), ("7 ml", "")])
def test_a_volume_without_a_name_tells_of_an_agent(tmp_path: Path, volume: str, told: str) -> None:
    def change(header: Dataset) -> None:
        header[Tag("ContrastBolusVolume")] = raw_decimal("ContrastBolusVolume", volume)

    assert {s.contrast_agent for s in loaded(tmp_path, change).stations} == {told}


def test_agent_and_philips_scale_reach_the_stations(tmp_path: Path) -> None:
    def change(header: Dataset) -> None:
        header.ContrastBolusAgent = "gadobutrol"
        header.RescaleSlope, header.RescaleIntercept = "0.5", "0"
        header.private_block(0x2005, "Philips MR Imaging DD 001", create=True).add_new(0x0E, "FL", 4.0)

    study = loaded(tmp_path, change)
    assert {s.contrast_agent for s in study.stations} == {"ContrastBolusAgent"}
    assert [s.private_scale for s in study.stations] == pytest.approx([2.0] * len(study.stations))
