"""Phenotypes beside sex and age, for everybody who has them; nothing else is asked of a participant."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from analysis.errors import DataError
from analysis.exclusions import choose_visit, consenting, instance_of, of_instance, read_exclusions
from analysis.fields import at_instance, read_fields
from analysis.tables import read_table
from analysis.validation import check_participants, check_phenotypes
from analysis.values import is_yes

__all__ = ["PeopleWithImages", "people_with_images"]


@dataclass(frozen=True)
class PeopleWithImages:
    """Participants with phenotypes.

    Attributes
    ----------
    table : DataFrame
        ``eid, sex, age`` and phenotypes, one row for each participant.
    synthetic : bool
        Whether any of them is synthetic, or was labelled by a network that was trained on synthetic images.
    """

    table: pd.DataFrame
    synthetic: bool


def people_with_images(
    phenotypes: Path,
    participants: Path,
    *,
    fields: Path | None = None,
    visit: str | None = None,
    exclude: Path | None = None,
) -> PeopleWithImages:
    """Read both tables and join them by ``eid``; studies on the list ``exclude`` are left out.

    Raises
    ------
    DataError
        If a table cannot be used, or the tables share no participant.
    """
    field_map = read_fields(fields)
    identifiers = ("eid", *field_map["eid"].names, *field_map["eid"].titles)
    raw = choose_visit(read_table(phenotypes, ("eid", "visit")), visit, phenotypes.name)
    instance = instance_of(raw)
    raw, elsewhere = of_instance(raw, instance, phenotypes.name)
    if exclude is not None:
        raw = raw[~read_exclusions(exclude).rows(raw)]
    people = check_participants(
        read_table(participants, identifiers),
        field_map if instance is None else at_instance(field_map, instance),
        participants.name,
    ).table
    images = consenting(check_phenotypes(raw, phenotypes.name, elsewhere).table)
    clash = [name for name in images.columns if name in people.columns and name != "eid"]
    table = people.merge(images.drop(columns=clash), on="eid", how="inner", validate="one_to_one")
    if table.empty:
        raise DataError(
            f"{phenotypes.name} and {participants.name}",
            f"no eid in common ({len(images)} and {len(people)} rows)",
            "the same identifiers in both",
            "Check that both tables use identifiers of the same UK Biobank application.",
        )
    marks = [part["synthetic"] for part in (people, images) if "synthetic" in part.columns]
    made_up = any(is_yes(mark).any() for mark in marks)
    return PeopleWithImages(table, made_up or _labelled_by_synthetic_network(raw))


def _labelled_by_synthetic_network(raw: pd.DataFrame) -> bool:
    trained = raw.get("model_trained_on_synthetic")
    return trained is not None and bool(is_yes(trained).any())
