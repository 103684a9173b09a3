"""What the page shows besides the report: the person, viewer, percentiles, and the change since before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from operators.core.dicom_objects import is_synthetic
from operators.core.options import ReportOptions
from operators.core.phenotypes import Side
from operators.core.rounding import REPEATABILITY_SOURCE
from operators.core.volume import Fused, Study, Volume
from operators.phenotype_report.body_maps import body_maps
from operators.phenotype_report.comparison import changes_between, differences, read_report
from operators.phenotype_report.html import PageContent
from operators.phenotype_report.measurements import Measurements
from operators.phenotype_report.page_checks import checks_of
from operators.phenotype_report.page_summary import examined
from operators.phenotype_report.percentiles import percentiles_of, read_reference
from operators.phenotype_report.profile_charts import profile_charts
from operators.phenotype_report.station_pictures import seam_pictures
from operators.phenotype_report.viewer import viewer_data

__all__ = ["page_content"]


def page_content(
    report: Mapping[str, Any],
    labels: Volume,
    fused: Fused,
    study: Study,
    measurements: Measurements,
    options: ReportOptions,
) -> PageContent:
    """Gather it as the options ask.

    Parameters
    ----------
    report : mapping
        From `build_report`.
    labels, fused, study, measurements
        As for `write_reports`.
    options : ReportOptions

    Raises
    ------
    InputError
        When the reference or the earlier report cannot be used.
    """
    viewer = None
    if options.viewer != "no":
        # Labels that are not trusted for measurements are not shown as anatomy either.
        viewer = viewer_data(None if measurements.withheld else labels, fused, measurements.mid_surface)
    percentiles: dict[str, int] = {}
    reference = ""
    if options.reference is not None:
        rows = read_reference(options.reference, is_synthetic(study))
        sex, age = (study.patient.get(keyword, "") for keyword in ("PatientSex", "PatientAge"))
        percentiles, reference = (
            ({}, "") if measurements.withheld else percentiles_of(report["phenotypes"], sex, age, rows, study.height_m)
        )
    changes: dict[str, str] = {}
    previous = ""
    if options.previous is not None:
        earlier = read_report(options.previous)
        changes = {change.phenotype.key: change.words for change in changes_between(earlier, report)}
        previous = "" if measurements.withheld else _about(earlier, report, bool(changes))
    charts = profile_charts(measurements.profiles, report["quality"]["stations"], _measured(measurements))
    return PageContent(
        person=examined(study),
        viewer=viewer,
        charts=charts,
        maps=body_maps(labels, measurements, percentiles),
        checks=checks_of(report, study),
        seams=seam_pictures(fused, report["quality"]),
        percentiles=percentiles,
        reference=reference,
        changes=changes,
        previous=previous,
    )


def _measured(measurements: Measurements) -> Mapping[Side, frozenset[str]]:
    """The structures that have a volume on each side."""
    return {
        "left": frozenset(m.structure.name for m in measurements.structures if m.left_cm3),
        "right": frozenset(m.structure.name for m in measurements.structures if m.right_cm3),
    }


def _about(earlier: Mapping[str, Any], report: Mapping[str, Any], any_change: bool) -> str:
    which = f"the report of {earlier['study']['pseudonym']} made on {earlier['created_utc'][:10]}"
    if not any_change:
        return f"No changes: {which} and this one have no number in common."
    text = (
        f"Changes are since {which}. "
        "Within error: below the smallest detectable change, 1.96 · √2 times the standard error of a measurement "
        f"({REPEATABILITY_SOURCE})."
    )
    if differ := differences(earlier, report):
        text += f" Between the two reports, {' and '.join(differ)} changed, which alone may change numbers."
    return text
