"""`report.html`: the report for people, a single self-contained page."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from operators.core.anatomy import HAMSTRINGS, QUADRICEPS, STRUCTURES, Compartment, by_name
from operators.core.output_files import replacing
from operators.core.phenotypes import PHENOTYPES, Phenotype
from operators.core.volume import Fused, Volume
from operators.phenotype_report.measurements import Measurements
from operators.phenotype_report.pictures import Plane, busiest_slice, overlay_png, plane_axis

__all__ = ["Picture", "pictures_of", "render_html", "write_html"]

BANNER = "trained on synthetic anatomy: not for clinical use"
"""Follows the network's name, as its model card gives it."""

# Title, plane, and the structures whose largest slice is shown.
_LABELLED: tuple[tuple[str, Plane, Sequence[str] | None], ...] = (
    ("Coronal", "coronal", None),
    ("Axial, pelvis", "axial", ("gluteus_maximus", "gluteus_medius", "gluteus_minimus", "piriformis")),
    ("Axial, thigh", "axial", (*QUADRICEPS, *HAMSTRINGS)),
    ("Axial, lower thigh", "axial", ("vastus_medialis",)),
)
_UNLABELLED: tuple[tuple[str, Plane], ...] = (("Coronal", "coronal"), ("Axial", "axial"))
_TYPOGRAPHY = str.maketrans({",": "\N{NARROW NO-BREAK SPACE}", "-": "\N{MINUS SIGN}"})
_COMPARTMENT_COLOURS = {c: next(s.colour_rgb for s in STRUCTURES if s.compartment is c) for c in Compartment}


@dataclass(frozen=True)
class Picture:
    """A PNG with its title and caption.

    Attributes
    ----------
    title, caption : str
    png : bytes
    """

    title: str
    caption: str
    png: bytes

    @property
    def uri(self) -> str:
        """The picture as a ``data:`` URI."""
        return "data:image/png;base64," + base64.b64encode(self.png).decode("ascii")


def pictures_of(labels: Volume, fused: Fused, measurements: Measurements) -> tuple[Picture, ...]:
    """A coronal slice, and axial slices through pelvis, thigh and lower thigh.

    If phenotypes are withheld, labels are not drawn: labels that are not
    trusted for measurements are not shown as anatomy either.
    """
    voxels = labels.voxels.astype(np.uint8, copy=False)
    shown = None if measurements.withheld else voxels
    over = "" if shown is None else ", with labels; the dashed line separates left and right"
    wanted: tuple[tuple[str, Plane, int], ...]
    if shown is None:
        wanted = tuple((title, plane, _widest_slice(fused, plane)) for title, plane in _UNLABELLED)
    else:
        wanted = tuple(
            (title, plane, busiest_slice(voxels, fused.grid, plane, structures))
            for title, plane, structures in _LABELLED
        )
    pictures = []
    for title, plane, index in wanted:
        png = overlay_png(
            fused.water, shown, fused.grid, plane, index, mid_surface=measurements.mid_surface, body=fused.body
        )
        pictures.append(Picture(title, f"Fused water image, slice {index + 1}{over}.", png))
    return tuple(pictures)


def render_html(report: Mapping[str, Any], pictures: Sequence[Picture] = ()) -> str:
    """Render the page of a report.

    Parameters
    ----------
    report : mapping
        From `build_report`; nothing else about the study is shown.
    pictures : sequence of Picture
        The first is shown large, the others beside it.
    """
    return _template().render(
        report=report,
        cards=_cards(report),
        quality=report["quality"],
        pictures=pictures,
        banner=_banner(report["model"]),
        compartments=[_compartment_rows(report, c) for c in Compartment],
        largest_side=max([0.001, *(s[f"{side}_cm3"] or 0 for s in report["structures"] for side in ("left", "right"))]),
        total_seconds=sum(value for value in report["timings_s"].values() if value),
    )


def _banner(model: Mapping[str, Any]) -> str | None:
    if model.get("made_elsewhere"):
        return f"Labels made elsewhere ({model['name']}): SarcoMAP measured them but did not make or check them"
    name, edited = f"{model['name']} {model['version']}", model.get("made", "automatic") != "automatic"
    if model["synthetic_training"]:
        return f"{name}, {BANNER}{'. Labels edited by hand' if edited else ''}"
    return f"{name}, labels edited by hand" if edited else None


def write_html(path: Path | str, report: Mapping[str, Any], pictures: Sequence[Picture] = ()) -> Path:
    """Render the page (see `render_html`) and write it.

    Raises
    ------
    OutputError
        When the file cannot be written.
    """
    text = render_html(report, pictures)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return Path(path)


def _widest_slice(fused: Fused, plane: Plane) -> int:
    """The slice that shows most of the body."""
    axis = plane_axis(fused.grid, plane)
    return int(fused.body.sum(axis=tuple(a for a in range(3) if a != axis)).argmax())


def _cards(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The content of the card of each phenotype in the registry that has one."""
    values, quality = report["phenotypes"], report["quality"]
    shown = {key: _shown(phenotype, values.get(key)) for key, phenotype in PHENOTYPES.items()}
    cards = []
    for key, phenotype in PHENOTYPES.items():
        if phenotype.card is None or phenotype.deprecated:
            continue
        given = values.get(key) is not None
        missing = "Withheld" if quality["withheld"] else quality["not_given"].get(key, "")
        cards.append(
            {
                "place": phenotype.card.place,
                "title": phenotype.title,
                "value": shown[key],
                "unit": phenotype.unit.symbol,
                "given": given,
                "note": phenotype.card.note.format_map(shown) if given else missing,
            }
        )
    return sorted(cards, key=lambda card: card["place"])


def _shown(phenotype: Phenotype, value: float | None) -> str:
    return (_percent if phenotype.unit.percent else _fixed)(value, phenotype.decimals)


def _touches(flag: Mapping[str, Any]) -> str:
    """The numbers of the page's cards that a flag casts doubt on, in words; empty if there are none."""
    touched = [PHENOTYPES[key] for key in flag.get("touches", ()) if key in PHENOTYPES]
    if flag["severity"] == "error" or not touched:
        return ""
    if len(touched) == len(PHENOTYPES):
        return "all numbers"
    return ", ".join(p.title for p in touched if p.card is not None and not p.deprecated) or touched[0].title


def _compartment_rows(report: Mapping[str, Any], compartment: Compartment) -> dict[str, Any]:
    rows = [s for s in report["structures"] if s["compartment"] == compartment.value]

    def total(key: str) -> float | None:
        values = [row[key] for row in rows]
        return None if any(value is None for value in values) else sum(values)

    return {
        "name": compartment.value,
        "colour": _rgb(_COMPARTMENT_COLOURS[compartment]),
        "rows": [{**row, "colour": _rgb(by_name(row["name"]).colour_rgb)} for row in rows],
        "left_cm3": total("left_cm3"),
        "right_cm3": total("right_cm3"),
        "volume_cm3": total("volume_cm3"),
    }


def _rgb(colour: tuple[int, int, int]) -> str:
    return f"rgb({colour[0]}, {colour[1]}, {colour[2]})"


def _fixed(value: float | None, decimals: int = 1) -> str:
    """A number as shown on the page; an em dash if there is none."""
    return "\N{EM DASH}" if value is None else f"{value:,.{decimals}f}".translate(_TYPOGRAPHY)


def _percent(value: float | None, decimals: int = 1) -> str:
    return "\N{EM DASH}" if value is None else f"{100 * value:.{decimals}f}\N{NO-BREAK SPACE}%"


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("operators.phenotype_report", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["fixed"] = _fixed
    environment.filters["percent"] = _percent
    environment.filters["touches"] = _touches
    return environment.get_template("study_page.html.j2")
