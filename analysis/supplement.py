"""The supplement of a manuscript: methods, every table and STROBE's checklist, filled from the run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from analysis.definitions import label_of
from analysis.options import Options
from analysis.run import Results
from analysis.strobe import exclusions_in_words, strobe_checklist
from analysis.text_tables import TextTable, format_count, in_words

__all__ = ["Supplement", "make_supplement"]


@dataclass(frozen=True)
class Supplement:
    """What is written as Word, HTML and LaTeX.

    Attributes
    ----------
    title : str
    warnings : tuple of str
        What a reader must know first, such as that participants are synthetic.
    methods : tuple of (str, str)
        Heading and text of each paragraph.
    tables : tuple of TextTable
        In the order of their numbers: Table S1, S2, ...
    """

    title: str
    warnings: tuple[str, ...]
    methods: tuple[tuple[str, str], ...]
    tables: tuple[TextTable, ...]

    @property
    def methods_markdown(self) -> str:
        """The methods as Markdown."""
        return "## Methods\n\n" + "\n\n".join(f"**{head}.** {text}" for head, text in self.methods) + "\n"


def make_supplement(results: Results, options: Options, printed: Mapping[str, TextTable]) -> Supplement:
    """Put together methods, all printed tables (`analysis.manuscript.manuscript_tables`) and the checklist."""
    n = format_count(len(results.cohort.analysed))
    return Supplement(
        f"Supplement: muscle volume and sarcopenia in {n} participants",
        results.cohort.warnings,
        tuple(_methods(results, options)),
        (*printed.values(), strobe_checklist(results, options)),
    )


def _methods(results: Results, options: Options) -> list[tuple[str, str]]:
    cohort = results.cohort
    cuts, n = cohort.cut_offs, len(cohort.analysed)
    adjusted = in_words([label_of(name) for name in options.adjust]) or "nothing"
    thirds = "fixed cuts" if options.fixed_cuts else "exact thirds"
    parts = [
        (
            "Participants",
            f"Of {format_count(cohort.flow['remaining'].iloc[0])} people in the table, {format_count(n)} were "
            f"analysed; {exclusions_in_words(results)}. Participants were at least {options.min_age:g} years old at "
            "imaging.",
        ),
        (
            "Measures",
            "Total muscle volume was the sum of the segmented muscles, and the P/A ratio the volume of the hamstrings "
            "over that of the quadriceps. Appendicular lean mass was that of both arms and legs by DXA, ALMI its ratio "
            "to squared height, and grip the best of both hands.",
        ),
        (
            "Sarcopenia",
            f"Low strength was grip below {cuts.grip_men_kg:g} kg (men) or {cuts.grip_women_kg:g} kg (women), low mass "
            f"ALMI below {cuts.almi_men:g} or {cuts.almi_women:g} kg/m² ({cuts.name}: {cuts.source}). Both together "
            "were confirmed sarcopenia.",
        ),
        (
            "Associations",
            f"Exposures ({', '.join(map(label_of, options.exposures))}) were cut at {thirds}; the highest was compared "
            f"with the lowest by logistic regression, crude and adjusted for {adjusted}. Intervals are 95% "
            "profile-likelihood intervals, p values Wald’s; Firth’s penalised likelihood was used for separated events "
            "and fewer than five events per coefficient. p values over all odds ratios of a model were adjusted by "
            "Benjamini and Hochberg’s method. Models of men and of women used the thirds of everyone, and a likelihood "
            "ratio test of the interaction with sex.",
        ),
        (
            "Age",
            "Change per decade is ten times the slope of a straight line on age, by sex, compared with a natural cubic "
            "spline. Prevalence over age groups was tested by Cochran and Armitage’s test.",
        ),
    ]
    if results.followed.given:
        parts.append(
            (
                "Death",
                f"Deaths after imaging were followed until {results.followed.end}. Cox’s model used Efron’s ties and "
                "the score test of proportional hazards.",
            )
        )
    if not options.paper:
        compared = (
            f"and Brier score with optimism removed by {options.bootstraps} bootstraps, likelihood ratio test, and "
            "apparent calibration and decision curves"
            if options.full
            else "with DeLong’s interval, likelihood ratio test and Brier score"
        )
        text = f"Markers were added to the covariates one at a time, per SD, and compared by AUC {compared}."
        parts.append(("Markers", text))
    if options.full:
        parts.append(
            (
                "Further analyses",
                "Missing covariates were imputed ten times by chained equations and pooled by Rubin’s rules. Reference "
                "percentiles are by the LMS method. Mediation was by linear models and is cross-sectional.",
            )
        )
    parts += _methods_of_robustness(results)
    parts.append(("Software", "SarcoMAP analysis; versions, inputs and options are in provenance.json."))
    return parts


def _methods_of_robustness(results: Results) -> list[tuple[str, str]]:
    """Methods of the tables of `analysis.robustness` that this run has."""
    said = {
        "sites": (
            "Centres and scanners",
            "Odds ratios per SD were estimated without the site, with the site as a factor, with a random intercept "
            "(adaptive Gauss-Hermite quadrature), and after ComBat had harmonised the MRI measures.",
        ),
        "competing": (
            "Dated events",
            "First events after imaging were analysed by Cox’s model of the cause-specific hazard and by Fine and "
            "Gray’s model of the subdistribution hazard, with death as competing event; incidence by Aalen and "
            "Johansen.",
        ),
        "composition": (
            "Muscle composition",
            "Muscle fat was high above the 75th percentile of the sex, and fat-free muscle volume low if its z score "
            "for sex, weight and height was below the 25th percentile of everybody (after Linge et al. 2021).",
        ),
        "undiluted": (
            "Measurement error",
            "Odds ratios were corrected for random error of the exposure by regression calibration, with the "
            "reliability given the covariates, and by SIMEX.",
        ),
        "power": (
            "Power",
            "Power followed from two proportions (thirds) and from Hsieh’s formula (per SD), with the variance of the "
            "exposure that covariates leave.",
        ),
    }
    return [text for name, text in said.items() if name in results.tables]
