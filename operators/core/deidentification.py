"""De-identification of a study: nothing written from it holds an identifying attribute of the source.

This applies the Basic Application Confidentiality Profile (PS3.15 annex E) to
the attributes that we write. Everything that comes from the source's headers
passes through `operators.core.volume.Study`, so attributes are removed or
replaced there, before any later stage sees them. The source files themselves
are never written again.
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
#: Says nothing about the person, and is needed to interpret the rest.
_KEPT = ("QualityControlSubject",)
_FIRST_MOMENT = datetime(2000, 1, 1)


def deidentify(study: Study, how: Deidentification) -> Study:
    """Remove or replace whatever identifies the patient.

    The pseudonym takes the place of name and identifier. All UIDs are
    replaced, also where they are references; equal UIDs get equal replacements.
    Under another pseudonym that was given they get others: a study is of one
    patient to a PACS, and releases under two pseudonyms cannot be linked.
    Dates, descriptions, accession number, referring physician and everything
    else that the profile names are left out. Acquisition times keep their order
    and the intervals between them, because fusion must tell which of two
    stations is newer. They are never written.

    Parameters
    ----------
    study : Study
    how : Deidentification

    Returns
    -------
    Study
        `Study.deidentified` names the profile and options. The height is None
        unless ``how.keep_characteristics`` is set.
    """
    kept = _KEPT + (_CHARACTERISTICS if how.keep_characteristics else ())
    pseudonym = how.pseudonym or f"S{_digest(how.key, 'pseudonym', study.study_uid).hex()[:12]}"
    secret = how.key if how.pseudonym is None else f"{how.key}\x1f{how.pseudonym}"
    acquired = [station.acquired for station in study.stations if station.acquired is not None]
    first = min(acquired, default=_FIRST_MOMENT)
    options = (codes.DCM.RetainPatientCharacteristicsOption.value,) if how.keep_characteristics else ()
    return replace(
        study,
        stations=tuple(_station(station, secret, first) for station in study.stations),
        study_uid=_uid(secret, study.study_uid),
        pseudonym=pseudonym,
        height_m=study.height_m if how.keep_characteristics else None,
        patient={
            **{keyword: study.patient[keyword] for keyword in kept if keyword in study.patient},
            "PatientName": f"{pseudonym}^",  # the caret marks a single component as the family name (PS3.5 6.2.1)
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
