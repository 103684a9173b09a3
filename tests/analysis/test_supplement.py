"""The supplement as Word, HTML and LaTeX, read back from the files."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from analysis.supplement import Supplement
from analysis.supplement_files import column_shares, supplement_html, supplement_latex, write_word
from analysis.text_tables import TextTable, latex_text

_TABLE = TextTable(
    "Associations",
    ("Outcome", "Events / n", "OR (95% CI)"),
    (
        ("Falls <1 & more", "2\u2009373 / 12\u2009335", "1.12 (1.05–1.20)"),
        ("", "4 / 9", "−0.5 to 2"),
        ("Death", "1 / 2", "–"),
    ),
    "χ² ≥ 3.84; n_low is {n} | “quoted”.",
    1,
    frozenset({2}),
    {1: "Firth’s penalised likelihood"},
)
_SUPPLEMENT = Supplement("Supplement", ("Synthetic people.",), (("Measures", "kg/m² at 95%."),), (_TABLE, _TABLE))


class _Rows(HTMLParser):
    """Texts of the cells of every row, and names of elements that are still open at the end."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in ("meta", "br"):
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data


def test_the_page_has_every_cell_and_is_well_formed() -> None:
    page = supplement_html(_SUPPLEMENT)
    found = _Rows(page)
    assert found.open == []
    assert found.rows[:3] == [list(_TABLE.header), list(_TABLE.rows[0]), list(_TABLE.rows[1])]
    assert found.rows[3] == ["", _TABLE.remarks[1]] and len(found.rows) == 10
    assert "Table S2. Associations" in page and "Synthetic people." in page


def test_the_word_document_has_real_tables_with_repeated_heads(tmp_path: Path) -> None:
    docx = pytest.importorskip("docx")
    write_word(_SUPPLEMENT, tmp_path / "supplement.docx")
    document = docx.Document(str(tmp_path / "supplement.docx"))
    assert [path.name for path in tmp_path.iterdir()] == ["supplement.docx"]
    assert len(document.tables) == 2 and document.sections[0].page_width > document.sections[0].page_height
    rows = [[cell.text for cell in row.cells] for row in document.tables[0].rows]
    assert rows[0] == list(_TABLE.header) and rows[1] == list(_TABLE.rows[0]) and rows[4] == list(_TABLE.rows[2])
    assert rows[3][1:] == [_TABLE.remarks[1]] * 2  # one cell over both columns
    headings = [one.text for one in document.paragraphs if one.style.name == "Heading 2"]
    assert headings == ["Methods", "Table S1. Associations", "Table S2. Associations"]
    xml = document.tables[0]._tbl.xml
    assert xml.count("<w:tblHeader/>") == 1
    assert xml.count(f'w:val="{document.styles["Table number"].style_id}"') == 6  # numbers are on the right


def test_the_latex_document_is_balanced_and_escapes_what_latex_would_take_for_commands() -> None:
    text = supplement_latex(_SUPPLEMENT)
    for name in ("document", "longtable"):
        assert text.count(rf"\begin{{{name}}}") == text.count(rf"\end{{{name}}}") > 0
    assert text.count("{") == text.count("}")
    assert r"Falls $<$1 \& more & 2\,373 / 12\,335 & 1.12 (1.05--1.20) \\" in text
    assert r"$\chi$$^2$ $\geq$ 3.84; n\_low is \{n\} \textbar{} ``quoted''." in text
    assert text.isascii()
    widths = [float(width) for width in re.findall(r"[LR]\{(0\.\d+)\}", text.split(r"\endfirsthead")[0])]
    assert len(widths) == 3 and sum(widths) < 1


@pytest.mark.parametrize("sign", "±−–²³†’χ×≥≤√Σσαβ~^|·ᵢ“”\u2009")
def test_every_sign_of_the_tables_is_ascii_in_latex(sign: str) -> None:
    assert latex_text(sign).isascii() and latex_text(sign) != sign


def test_columns_share_the_whole_width_by_their_texts() -> None:
    shares = column_shares(_TABLE)
    assert sum(shares) == pytest.approx(1) and shares[2] > shares[1]
