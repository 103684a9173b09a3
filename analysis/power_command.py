"""``sarcomap analysis power``: what a cohort of a given size can find, before it is recruited or requested."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from analysis.command_line import EXIT_CODES, new_app
from analysis.errors import UsageError
from analysis.files import check_output

__all__ = ["command"]

_HELP = """\
Compute power and precision for planning a study.

For every outcome: the smallest odds ratio that is found with the wanted power, of the highest against the lowest \
third and per SD of the exposure; the width of the interval; and the power for a range of odds ratios."""
_EXAMPLES = f"""\
{EXIT_CODES}

Examples:
  sarcomap analysis power --people 37004 --share falls=0.12 --share death=0.03
  sarcomap analysis power --people 5000 --share falls=0.12 --r2 0.3 --out plan"""

command = new_app("power", _HELP, _EXAMPLES)


@command.default
def _power(
    *,
    people: Annotated[float, Parameter(metavar="N", help="People with exposure, outcome and covariates.")],
    share: Annotated[
        list[str], Parameter(metavar="NAME=SHARE", negative="", help="Share with an outcome, 0 to 1. Repeatable.")
    ],
    r2: Annotated[
        float, Parameter(metavar="SHARE", help="Share of the exposure's variance that covariates explain.")
    ] = 0.0,
    power: Annotated[float, Parameter(metavar="SHARE", help="Wanted power.")] = 0.8,
    level: Annotated[float, Parameter(metavar="SHARE", help="Level of significance, two-sided.")] = 0.05,
    out: Annotated[
        Path | None, Parameter(metavar="DIR", help="Also write power.csv, power_curves.csv and power.svg.")
    ] = None,
) -> None:
    given = [_share(text) for text in share]
    shares = dict(given)
    if len(shares) < len(given):
        raise UsageError("--share", "an outcome twice", "each name once", "Give every share a name of its own.")
    if out is not None:
        check_output(out)
    from analysis.power import power_curves, power_table

    table = power_table(people, shares, level=level, power=power, r2=r2)
    for row in table.to_dict("records"):
        found = f"{row['smallest_ratio']:.3f}" if row["smallest_ratio"] > 0 else "none up to 148"
        print(f"{row['outcome']}, {row['contrast']}: odds ratio {found} with power {power:g}; "
              f"upper over lower end of the interval {row['interval_ratio']:.2f}")  # fmt: skip
    if out is None:
        return
    from analysis.figures.power import power_figure
    from analysis.figures.style import save
    from analysis.tables import write_table

    curves = power_curves(shares, level=level, power=power, r2=r2)
    write_table(table, out / "power.csv")
    write_table(curves, out / "power_curves.csv")
    save(power_figure(curves), out, "power")
    print(f"written to {out}")


def _share(text: str) -> tuple[str, float]:
    name, equals, number = text.partition("=")
    if equals and not name.strip():
        raise UsageError("--share", f"{text} without a name", "NAME=SHARE, such as falls=0.12", "Correct it.")
    try:
        return name.strip(), float(number)
    except ValueError:
        found = text if equals else f"{text} without a number"
        raise UsageError("--share", found, "NAME=SHARE, such as falls=0.12", "Correct it.") from None
