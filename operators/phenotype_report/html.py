"""`report.html`: the report for people, a single self-contained page."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from operators.core.anatomy import HAMSTRINGS, QUADRICEPS, Compartment, by_name
from operators.core.output_files import replacing
from operators.core.phenotypes import PHENOTYPES
from operators.core.phenotypes.formulas import left_right_asymmetry
from operators.core.rounding import REPEATABILITY_SOURCE
from operators.core.volume import Fused, Volume
from operators.phenotype_report.body_maps import BodyMap
from operators.phenotype_report.measurements import Measurements
from operators.phenotype_report.page_checks import LIMITS, Check
from operators.phenotype_report.page_intervals import about_intervals, interval_words
from operators.phenotype_report.page_methods import command_of, methods_text, options_of
from operators.phenotype_report.page_numbers import shown
from operators.phenotype_report.page_summary import few, sentences, verdict
from operators.phenotype_report.page_templates import data_uri, template
from operators.phenotype_report.pictures import Plane, busiest_slice, overlay_png, plane_axis, spread_slices
from operators.phenotype_report.profile_charts import Chart
from operators.phenotype_report.remedies import what_to_do
from operators.phenotype_report.station_pictures import Seam, station_diagram

__all__ = ["PageContent", "Picture", "pictures_of", "render_html", "write_html"]

BANNER = "trained on synthetic images, not validated on people: not for clinical use"
"""Follows the network's name, as its model card gives it."""

# Title, plane, and the structures whose largest slice is shown.
_LABELLED: tuple[tuple[str, Plane, Sequence[str] | None], ...] = (
    ("Coronal", "coronal", None),
    ("Axial, pelvis", "axial", ("gluteus_maximus", "gluteus_medius", "gluteus_minimus", "piriformis")),
    ("Axial, thigh", "axial", (*QUADRICEPS, *HAMSTRINGS)),
    ("Axial, lower thigh", "axial", ("vastus_medialis",)),
)
_APART_MM = 20.0


@dataclass(frozen=True)
class Picture:
    """A PNG with its title and caption.

    Attributes
    ----------
    title, caption : str
    png : bytes
    alt : str
        What it shows, for those who cannot see it.
    """

    title: str
    caption: str
    png: bytes
    alt: str = ""

    @property
    def uri(self) -> str:
        """The picture as a ``data:`` URI."""
        return data_uri(self.png)


@dataclass(frozen=True)
class PageContent:
    """What the page shows besides the report's own content.

    Attributes
    ----------
    person : sequence of (str, str)
        From `examined`. ``report.json`` does not hold it.
    viewer : mapping or None
        From `viewer_data`; without it the page has still pictures only.
    charts : sequence of Chart
        From `profile_charts`.
    maps : sequence of BodyMap
        From `body_maps`.
    checks : sequence of Check
        From `checks_of`.
    seams : sequence of Seam
        From `seam_pictures`.
    percentiles : mapping of str to int
        By phenotype, for sex and age.
    reference : str
        Where the percentiles are from.
    changes : mapping of str to str
        By phenotype, the change since an earlier report, in words.
    previous : str
        The earlier report, and what counts as a change.
    """

    person: Sequence[tuple[str, str]] = ()
    viewer: Mapping[str, Any] | None = None
    charts: Sequence[Chart] = ()
    maps: Sequence[BodyMap] = ()
    checks: Sequence[Check] = ()
    seams: Sequence[Seam] = ()
    percentiles: Mapping[str, int] = field(default_factory=dict)
    reference: str = ""
    changes: Mapping[str, str] = field(default_factory=dict)
    previous: str = ""


def pictures_of(labels: Volume, fused: Fused, measurements: Measurements) -> tuple[Picture, ...]:
    """A coronal slice, and axial slices through pelvis, thigh and lower thigh.

    If phenotypes are withheld, labels are not drawn: labels that are not
    trusted for measurements are not shown as anatomy either.
    """
    voxels = labels.voxels.astype(np.uint8, copy=False)
    shown_labels = None if measurements.withheld else voxels
    wanted = spread_slices(fused) if shown_labels is None else _chosen_slices(voxels, fused)
    pictures = []
    for title, plane, index in wanted:
        png = overlay_png(
            fused.water, shown_labels, fused.grid, plane, index, mid_surface=measurements.mid_surface, body=fused.body
        )
        caption = f"Slice {index + 1}."
        coloured = "" if shown_labels is None else ", muscles and bones in colours"
        alt = f"{plane.capitalize()} slice of the water image{coloured}; the patient's right is on the left"
        pictures.append(Picture(title, caption, png, alt))
    return tuple(pictures)


def _chosen_slices(voxels: NDArray[np.uint8], fused: Fused) -> tuple[tuple[str, Plane, int], ...]:
    """The slices to show; two of one plane are at least `_APART_MM` apart, so that each shows something else."""
    chosen: list[tuple[str, Plane, int]] = []
    for title, plane, structures in _LABELLED:
        apart = max(1, round(_APART_MM / fused.grid.spacing_mm[2 - plane_axis(fused.grid, plane)]))
        taken = [index for _, one, index in chosen if one == plane]
        index = busiest_slice(voxels, fused.grid, plane, structures, taken, apart)
        if all(abs(index - other) >= apart for other in taken):
            chosen.append((title, plane, index))
    return tuple(chosen)


def render_html(
    report: Mapping[str, Any],
    pictures: Sequence[Picture] = (),
    further: PageContent | None = None,
    *,
    still: bool = False,
) -> str:
    """Render the page of a report.

    Parameters
    ----------
    report : mapping
        From `build_report`.
    pictures : sequence of Picture
        The first is shown large, the others beside it.
    further : PageContent, optional
        What the page shows besides the report; nothing by default.
    still : bool
        For paper: without viewer, scripts and controls.
    """
    further = further or PageContent()
    told = verdict(report)
    return template("study_page.html.j2").render(
        report=report,
        person=further.person,
        verdict=told,
        sentences=sentences(report),
        cards=() if report["quality"]["withheld"] else _cards(report, told.touched, further),
        uncertainty=about_intervals(report),
        reference=further.reference,
        previous=further.previous,
        quality=report["quality"],
        remedies=what_to_do(report["quality"]["flags"]) if report["quality"]["withheld"] else (),
        pictures=pictures,
        charts=further.charts,
        maps=further.maps,
        checks=further.checks,
        limits=LIMITS,
        seams=further.seams,
        diagram=station_diagram(report["quality"]),
        has_fat_picture=further.viewer is not None and further.viewer["fat"] is not None,
        still=still,
        viewer=None if still or further.viewer is None else _as_script(further.viewer),
        banner=_banner(report["model"]),
        compartments=[_compartment_rows(report, c) for c in Compartment],
        has_confidence=any(s.get("confidence_mean") is not None for s in report["structures"]),
        largest_side=max([0.001, *(s[f"{side}_cm3"] or 0 for s in report["structures"] for side in ("left", "right"))]),
        total_seconds=sum(value for value in report["timings_s"].values() if value),
        command=command_of(report),
        options=options_of(report),
        methods=methods_text(report),
        repeatability=REPEATABILITY_SOURCE,
    )


def _as_script(data: Mapping[str, Any]) -> str:
    """JSON that cannot end the script element that holds it."""
    return json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")


def _banner(model: Mapping[str, Any]) -> str | None:
    if model.get("made_elsewhere"):
        return f"Labels made elsewhere ({model['name']}): SarcoMAP measured them but did not make or check them"
    name, edited = f"{model['name']} {model['version']}", model.get("made", "automatic") != "automatic"
    if model["synthetic_training"]:
        return f"{name}, {BANNER}{'. Labels edited by hand' if edited else ''}"
    return f"{name}, labels edited by hand" if edited else None


def write_html(
    path: Path | str,
    report: Mapping[str, Any],
    pictures: Sequence[Picture] = (),
    further: PageContent | None = None,
) -> Path:
    """Render the page (see `render_html`) and write it.

    Raises
    ------
    OutputError
        When the file cannot be written.
    """
    text = render_html(report, pictures, further)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return Path(path)


def _cards(report: Mapping[str, Any], touched: Sequence[str], further: PageContent) -> list[dict[str, Any]]:
    """The content of the card of each phenotype in the registry that has one."""
    values, quality = report["phenotypes"], report["quality"]
    intervals = report.get("uncertainty", {}).get("phenotypes", {})
    texts = {
        key: shown(phenotype, values.get(key), intervals.get(key, {}).get("standard_error"))
        for key, phenotype in PHENOTYPES.items()
    }
    cards = []
    for key, phenotype in PHENOTYPES.items():
        if phenotype.card is None or phenotype.deprecated:
            continue
        given = values.get(key) is not None
        missing = "Withheld" if quality["withheld"] else few(quality["not_given"].get(key, ""))
        cards.append(
            {
                "place": phenotype.card.place,
                "title": phenotype.title,
                "value": texts[key],
                "unit": phenotype.unit.symbol,
                "given": given,
                "interval": interval_words(phenotype, values[key], intervals[key]) if key in intervals else None,
                "note": phenotype.card.note.format_map(texts) if given else missing,
                "doubt": given and phenotype.title in touched,
                "percentile": further.percentiles.get(key) if given else None,
                "change": further.changes.get(key) if given else None,
            }
        )
    return sorted(cards, key=lambda card: card["place"])


def _compartment_rows(report: Mapping[str, Any], compartment: Compartment) -> dict[str, Any]:
    rows = [s for s in report["structures"] if s["compartment"] == compartment.value]
    given = (
        report["phenotypes"].get(f"{compartment.value}_cm3") is not None
    )  # else a part of a structure would be in it

    def total(key: str) -> float | None:
        values = [row[key] for row in rows]
        return sum(values) if given and all(value is not None for value in values) else None

    return {
        "name": compartment.value,
        "rows": [
            {
                **row,
                "colour": _rgb(by_name(row["name"]).colour_rgb),
                "asymmetry": _asymmetry(row["left_cm3"], row["right_cm3"]),
                "in_doubt": row.get("in_doubt", ()),  # reports of earlier schemas have none
            }
            for row in rows
        ],
        "left_cm3": total("left_cm3"),
        "right_cm3": total("right_cm3"),
        "asymmetry": _asymmetry(total("left_cm3"), total("right_cm3")),
        "volume_cm3": total("volume_cm3"),
    }


def _rgb(colour: tuple[int, int, int]) -> str:
    return f"rgb({colour[0]}, {colour[1]}, {colour[2]})"


def _asymmetry(left: float | None, right: float | None) -> float | None:
    return left_right_asymmetry(left, right) if left and right else None
