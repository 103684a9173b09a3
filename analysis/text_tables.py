"""Tables for a manuscript: cells of text, Markdown and LaTeX."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

__all__ = [
    "TextTable",
    "format_count",
    "format_interval",
    "format_mean",
    "format_number",
    "format_p",
    "format_ratio",
    "in_words",
    "latex_text",
    "to_latex",
    "to_markdown",
]

_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "_": r"\_", "#": r"\#", "$": r"\$", "{": r"\{", "}": r"\}",
    "±": r"$\pm$", "−": r"$-$", "–": "--", "²": r"$^2$", "³": r"$^3$", "<": r"$<$", ">": r"$>$", "\u2009": r"\,",
    "†": r"$^\dagger$", "’": "'", "‘": "`", "“": "``", "”": "''", "χ": r"$\chi$", "×": r"$\times$", "≥": r"$\geq$",
    "≤": r"$\leq$", "√": r"$\surd$", "Σ": r"$\Sigma$", "σ": r"$\sigma$", "α": r"$\alpha$", "β": r"$\beta$",
    "Δ": r"$\Delta$", "τ": r"$\tau$", "γ": r"$\gamma$", "ρ": r"$\rho$", "κ": r"$\kappa$", "λ": r"$\lambda$",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "|": r"\textbar{}", "·": r"\textperiodcentered{}",
    "ᵢ": r"$_i$",
}  # fmt: skip

# Ends of intervals from here on have no decimals: 15587.88 pretends to be known to seven digits.
_LARGEST_DECIMAL = 1_000.0


@dataclass(frozen=True)
class TextTable:
    """A table whose cells are text.

    Attributes
    ----------
    title, caption : str
    header : tuple of str
    rows : tuple of tuple of str
    texts : int
        Number of text columns on the left; the others are numbers.
    blocks : frozenset of int
        Indices of rows that begin a block.
    remarks : mapping of int to str
        Remarks that appear below a row.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""
    texts: int = 1
    blocks: frozenset[int] = frozenset()
    remarks: Mapping[int, str] = field(default_factory=dict)


def in_words(names: Sequence[str], most: int = 12) -> str:
    """Names as a list: "age, sex, BMI"; of hundreds only the first, and how many others there are."""
    if len(names) <= most:
        return ", ".join(names)
    return f"{', '.join(names[: most - 2])} and {format_count(len(names) - most + 2)} others"


def format_p(p: float | None) -> str:
    """Format a p value as journals do: three decimals, or one digit and an exponent below 0.001."""
    if p is None or not np.isfinite(p):
        return "–"
    if p < 1e-300:
        return "<1e−300"
    if p < 0.001:
        mantissa, exponent = f"{p:.0e}".split("e")
        return f"{mantissa}e−{int(exponent[1:])}"
    return f"{p:.3f}"


def format_count(number: float) -> str:
    """Format with thin spaces between thousands."""
    return f"{int(number):,}".replace(",", "\u2009")


def format_number(number: float | None, decimals: int = 2) -> str:
    """Format with a true minus sign; a dash for a missing number."""
    if number is None or not np.isfinite(number):
        return "–"
    text = f"{number:.{decimals}f}"
    if float(text) == 0.0:
        text = text.removeprefix("-")
    return text.replace("-", "−")


def format_interval(low: float | None, high: float | None, decimals: int = 2) -> str:
    """Format both ends: "1.23–1.81", and "−0.067 to −0.016" where a dash would meet a minus sign."""
    places = [0 if end is not None and abs(end) >= _LARGEST_DECIMAL else decimals for end in (low, high)]
    ends = format_number(low, places[0]), format_number(high, places[1])
    negative = any(end.startswith("−") for end in ends)
    return (" to " if negative else "–").join(ends)


def format_mean(mean: float, sd: float, decimals: int) -> str:
    """Format a mean with its standard deviation, which one person does not have."""
    return format_number(mean, decimals) + (f" ± {format_number(sd, decimals)}" if np.isfinite(sd) else "")


def format_ratio(value: float, low: float, high: float, decimals: int = 2) -> str:
    """Format an odds or hazard ratio: "1.42 (1.13–1.78)"; a dash for a missing one.

    Numbers that would be printed as 0.00 are "<0.01", and those from a thousand on ">1000", because a ratio is never
    0, and seven digits of an end that few events leave open pretend to be known.
    """
    if not np.isfinite(value):
        return "–"
    one, *ends = (_part_of_ratio(number, decimals) for number in (value, low, high))
    return f"{one} ({(' to ' if '–' in ends else '–').join(ends)})"


def _part_of_ratio(number: float, decimals: int) -> str:
    if np.isfinite(number) and number >= _LARGEST_DECIMAL:
        return f">{_LARGEST_DECIMAL:.0f}"
    text = format_number(number, decimals)
    return f"<{10.0**-decimals:.{decimals}f}" if np.isfinite(number) and float(text) == 0.0 else text


def to_markdown(header: Sequence[str], rows: Sequence[Sequence[str]], texts: int = 1, caption: str = "") -> str:
    """A pipe table with its caption below. The first ``texts`` columns are aligned left, the others right."""
    rule = [*["---"] * texts, *["---:"] * (len(header) - texts)]
    lines = [list(header), rule, *rows]
    table = "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)
    return table + (f"\n{caption}\n" if caption else "")


def to_latex(header: Sequence[str], rows: Sequence[Sequence[str]], texts: int = 1, caption: str = "") -> str:
    """A ``tabular`` with booktabs rules and escaped special characters. The caption is a comment for you to place."""
    body = "".join(" & ".join(map(latex_text, row)) + " \\\\\n" for row in rows)
    columns = "l" * texts + "r" * (len(header) - texts)
    top = " & ".join(map(latex_text, header))
    remark = f"% {latex_text(caption)}\n" if caption else ""
    return (
        f"{remark}\\begin{{tabular}}{{{columns}}}\n\\toprule\n{top} \\\\\n\\midrule\n{body}\\bottomrule\n"
        "\\end{tabular}\n"
    )


def latex_text(cell: str) -> str:
    """Escape LaTeX's special characters, and write the others that its text fonts lack."""
    return "".join(_LATEX.get(character, character) for character in cell)
