"""A study without its patient: what is written from it can hold no identifying attribute of the source.

PS3.15 annex E, Basic Application Confidentiality Profile, as far as it
concerns attributes that we write: everything that comes from the source's
headers passes through `operators.core.volume.Study`, so that is where it is removed
or replaced, before any later stage has seen it. The originals themselves are
not written again.
"""

from __future__ import annotations

import hashlib
import hmac
import uuid
from dataclasses import replace
from datetime import datetime

from pydicom.sr.codedict import codes

from operators.core.options import Deidentification
from operators.core.volume import Station, Study

__all__ = ["METHOD", "deidentify"]

METHOD = "SarcoMAP: PS3.15 Basic Profile on derived objects"
_CHARACTERISTICS = ("PatientSex", "PatientAge", "PatientSize", "PatientWeight")
#: Not about the person, and needed to read the rest rightly.
_KEPT = ("QualityControlSubject",)
_FIRST_MOMENT = datetime(2000, 1, 1)


def deidentify(study: Study, how: Deidentification) -> Study:
    """Remove or replace whatever identifies the patient.

    Name and identifier become the pseudonym; all UIDs are replaced, the same
    by the same, references included; dates, descriptions, accession number,
    referring physician and all else that the profile names is left out.
    Times of acquisition keep their order and distances, for fusion needs them
    to tell which of two stations is newer, and are never written.

    Parameters
    ----------
    study : Study
    how : Deidentification

    Returns
    -------
    Study
        `Study.deidentified` names the profile and options; without
        ``how.keep_characteristics`` there is no height.
    """
    kept = _KEPT + (_CHARACTERISTICS if how.keep_characteristics else ())
    pseudonym = how.pseudonym or f"S{_digest(how.key, 'pseudonym', study.study_uid).hex()[:12]}"
    acquired = [station.acquired for station in study.stations if station.acquired is not None]
    first = min(acquired, default=_FIRST_MOMENT)
    options = (codes.DCM.RetainPatientCharacteristicsOption.value,) if how.keep_characteristics else ()
    return replace(
        study,
        stations=tuple(_station(station, how.key, first) for station in study.stations),
        study_uid=_uid(how.key, study.study_uid),
        pseudonym=pseudonym,
        height_m=study.height_m if how.keep_characteristics else None,
        patient={
            **{keyword: study.patient[keyword] for keyword in kept if keyword in study.patient},
            "PatientName": f"{pseudonym}^",  # a family name, as a name of one component should say (PS3.5 6.2.1)
            "PatientID": pseudonym,
            "PatientIdentityRemoved": "YES",
            "DeidentificationMethod": METHOD,
        },
        deidentified=(codes.DCM.BasicApplicationConfidentialityProfile.value, *options),
    )


def _station(station: Station, key: str, first: datetime) -> Station:
    return replace(
        station,
        acquired=None if station.acquired is None else _FIRST_MOMENT + (station.acquired - first),
        series_uid=_uid(key, station.series_uid),
        frame_of_reference_uid=_uid(key, station.frame_of_reference_uid),
        series_description=_description(station),
        sop_instance_uids=tuple(_uid(key, uid) for uid in station.sop_instance_uids),
    )


def _description(station: Station) -> str:
    return f"Dixon {station.contrast.value}"


def _uid(key: str, uid: str) -> str:
    return f"2.25.{uuid.UUID(bytes=_digest(key, 'uid', uid)[:16], version=5).int}" if uid else ""


def _digest(key: str, kind: str, value: str) -> bytes:
    return hmac.new(key.encode(), f"sarcomap {kind}\x1f{value}".encode(), hashlib.sha256).digest()
