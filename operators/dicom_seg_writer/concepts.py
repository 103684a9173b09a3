"""Coded concepts that the DICOM SEG and the SR share."""

from __future__ import annotations

from highdicom import AlgorithmIdentificationSequence
from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.sr import CodedConcept
from pydicom.sr.codedict import codes

from operators.core.anatomy import Structure, Tissue
from operators.core.dicom_objects import MANUFACTURER, derived_uid
from operators.core.model_card import ModelCard

__all__ = [
    "PRIVATE_SCHEME",
    "algorithm_identification",
    "algorithm_parameters",
    "private_concept",
    "scheme_items",
    "structure_concept",
    "tracking",
]

PRIVATE_SCHEME = "99SARCOMAP"


def private_concept(value: str, meaning: str) -> CodedConcept:
    """A concept of our own scheme, for concepts that no public scheme has."""
    return CodedConcept(value, PRIVATE_SCHEME, meaning)


def structure_concept(structure: Structure) -> CodedConcept:
    """The anatomic concept of a structure, from our own scheme if the label table has no public code for it."""
    if not structure.code:
        return private_concept(structure.name, structure.display_name)
    return CodedConcept(structure.code, structure.scheme, structure.meaning[:64])


def scheme_items() -> list[CodingSchemeIdentificationItem]:
    """Identification of our own coding scheme (PS3.3 C.12.1.1), required wherever its codes are used."""
    return [
        CodingSchemeIdentificationItem(
            designator=PRIVATE_SCHEME, name="SarcoMAP concepts", version="1", responsible_organization="SarcoMAP"
        )
    ]


def algorithm_identification(model: ModelCard) -> AlgorithmIdentificationSequence:
    """The algorithm that made the labels: our network (name, version and digest of its weights) or another tool."""
    return AlgorithmIdentificationSequence(
        name=model.name[:64],
        family=codes.DCM.ArtificialIntelligence,
        version=model.version[:64],
        source="Made elsewhere" if model.made_elsewhere else MANUFACTURER,
        parameters=algorithm_parameters(model),
    )


def algorithm_parameters(model: ModelCard) -> dict[str, str]:
    """Parameters that distinguish one use of an algorithm from another."""
    digest = "label_file_sha256" if model.made_elsewhere else "weights_sha256"
    edited = {"labels": "edited by hand"} if model.edited else {}
    return {digest: model.sha256, "training_data": model.training_data, **edited}


def tracking(study_uid: str, model: ModelCard, structure: Structure) -> tuple[str, str]:
    """Tracking identifier and UID of a structure, the same in SEG and SR and in every run on the same study."""
    name = structure.display_name
    identifier = name if structure.tissue is Tissue.ADIPOSE else f"{structure.tissue} {name}"
    return identifier, derived_uid("tracking", study_uid, model.sha256, structure.name)
