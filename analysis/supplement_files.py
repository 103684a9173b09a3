"""Write a supplement as one page of HTML, one LaTeX document, or one Word document."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.errors import UsageError
from analysis.files import replacing
from analysis.supplement import Supplement
from analysis.text_tables import TextTable, latex_text

if TYPE_CHECKING:
    from docx.document import Document

__all__ = ["column_shares", "has_word", "supplement_html", "supplement_latex", "write_word"]

_CSS = """\
body{font:11pt/1.4 Georgia,'Times New Roman',serif;color:#111;max-width:1200px;margin:2em auto;padding:0 1em}
body{overflow-wrap:anywhere}td,th{overflow-wrap:break-word}
h2{font-size:11.5pt;margin:2.2em 0 .4em}.wide{overflow-x:auto}.warning{font-weight:bold}
table{border-collapse:collapse;font:9pt/1.35 Arial,sans-serif;border-top:1.5px solid;border-bottom:1.5px solid}
th{border-bottom:1px solid;text-align:left;vertical-align:bottom}td,th{padding:2px 7px}td{vertical-align:top}
.n{text-align:right;white-space:nowrap}th.n{white-space:normal}tr.rule td{border-top:1px solid #999}
tr.note td,p.note{font-size:8.5pt;color:#444}
@page{size:A4 landscape;margin:15mm}
@media print{body{margin:0;max-width:none}.wide{overflow:visible}thead{display:table-header-group}
tr{break-inside:avoid}h2{break-after:avoid}table{font-size:7.5pt}td,th{padding:1.5px 4px}}
"""


def supplement_html(supplement: Supplement) -> str:
    """One page without references to other files. Word processors open it too."""
    parts = [f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>{escape(supplement.title)}</title>",
             f"<meta name='viewport' content='width=device-width,initial-scale=1'><style>{_CSS}</style></head><body>",
             f"<h1>{escape(supplement.title)}</h1>"]  # fmt: skip
    parts += [f"<p class='warning'>{escape(text)}</p>" for text in supplement.warnings]
    parts += ["<h2>Methods</h2>"]
    parts += [f"<p><b>{escape(head)}.</b> {escape(text)}</p>" for head, text in supplement.methods]
    for number, table in enumerate(supplement.tables, 1):
        marks = ["" if column < table.texts else " class='n'" for column in range(len(table.header))]
        titles = zip(marks, table.header, strict=True)
        head = "".join(f"<th scope='col'{mark}>{escape(title)}</th>" for mark, title in titles)
        parts.append(f"<h2>Table S{number}. {escape(table.title)}</h2>")
        parts.append(f"<div class='wide'><table><thead><tr>{head}</tr></thead><tbody>")
        for place, row in enumerate(table.rows):
            cells = "".join(f"<td{mark}>{escape(cell)}</td>" for mark, cell in zip(marks, row, strict=True))
            parts.append(f"<tr{' class=rule' if place in table.blocks else ''}>{cells}</tr>")
            if place in table.remarks:
                remark = escape(table.remarks[place])
                parts.append(f"<tr class='note'><td></td><td colspan='{len(row) - 1}'>{remark}</td></tr>")
        parts.append(
            "</tbody></table></div>" + (f"<p class='note'>{escape(table.caption)}</p>" if table.caption else "")
        )
    return "\n".join([*parts, "</body></html>"]) + "\n"


def supplement_latex(supplement: Supplement) -> str:
    """A whole document for pdfLaTeX, XeLaTeX or LuaLaTeX, with booktabs and longtable."""
    parts = [
        r"\documentclass[10pt]{article}", r"\usepackage[utf8]{inputenc}", r"\usepackage[T1]{fontenc}",
        r"\usepackage[a4paper,landscape,margin=15mm]{geometry}",
        r"\usepackage{amsmath,array,booktabs,longtable,textcomp}",
        r"\renewcommand{\thetable}{S\arabic{table}}", r"\setlength{\LTleft}{0pt}", r"\setlength{\tabcolsep}{3pt}",
        r"\newcolumntype{L}[1]{>{\raggedright\arraybackslash}p{#1\linewidth}}",
        r"\newcolumntype{R}[1]{>{\raggedleft\arraybackslash}p{#1\linewidth}}",
        r"\begin{document}", rf"\section*{{{latex_text(supplement.title)}}}",
    ]  # fmt: skip
    parts += [rf"\noindent\textbf{{{latex_text(text)}}}" + "\n" for text in supplement.warnings]
    parts.append(r"\subsection*{Methods}")
    parts += [rf"\paragraph{{{latex_text(head)}.}} {latex_text(text)}" for head, text in supplement.methods]
    for table in supplement.tables:
        parts.append(r"\clearpage" + "\n" + (r"\scriptsize" if len(table.header) > 8 else r"\footnotesize"))
        # The space between columns also takes part of the width.
        shares = [0.94 * share for share in column_shares(table)]
        columns = "".join(f"{'L' if i < table.texts else 'R'}{{{share:.3f}}}" for i, share in enumerate(shares))
        head = " & ".join(rf"\textbf{{{latex_text(cell)}}}" if cell else "" for cell in table.header) + r" \\"
        parts += [rf"\begin{{longtable}}{{@{{}}{columns}@{{}}}}", rf"\caption{{{latex_text(table.title)}}}\\",
                  r"\toprule", head, r"\midrule", r"\endfirsthead", r"\toprule", head, r"\midrule", r"\endhead",
                  r"\bottomrule", r"\endlastfoot"]  # fmt: skip
        for place, row in enumerate(table.rows):
            if place in table.blocks:
                parts.append(r"\midrule")
            parts.append(" & ".join(map(latex_text, row)) + r" \\")
            if place in table.remarks:
                parts.append(rf"& \multicolumn{{{len(row) - 1}}}{{l}}{{{latex_text(table.remarks[place])}}} \\")
        parts.append(r"\end{longtable}")
        if table.caption:
            parts.append(rf"\noindent {latex_text(table.caption)}")
    return "\n".join([*parts, r"\end{document}"]) + "\n"


def column_shares(table: TextTable) -> list[float]:
    """Share of the page's width for each column, by its longest text; the shares add up to 1."""
    lengths = []
    for column, head in enumerate(table.header):
        words = max((len(word) for word in head.split()), default=0)
        cells = max((len(row[column]) for row in table.rows), default=0)
        lengths.append(float(min(max(words + 1, cells, 4), 60)))
    return [length / sum(lengths) for length in lengths]


def has_word() -> bool:
    """Whether python-docx is installed (extra ``manuscript``)."""
    from importlib.util import find_spec

    return find_spec("docx") is not None


def write_word(supplement: Supplement, path: Path) -> None:
    """Write a Word document, A4 landscape, with real tables whose look is that of four styles.

    Raises
    ------
    UsageError
        If python-docx is not installed.
    """
    if not has_word():
        raise UsageError(
            "Word document", "no python-docx", "the package python-docx", 'Run `pip install "sarcomap[manuscript]"`.'
        )
    document, width = _empty_document(supplement.title)
    document.add_heading(supplement.title, 1)
    for text in supplement.warnings:
        document.add_paragraph().add_run(text).bold = True
    document.add_heading("Methods", 2)
    for head, text in supplement.methods:
        paragraph = document.add_paragraph()
        paragraph.add_run(f"{head}. ").bold = True
        paragraph.add_run(text)
    for number, table in enumerate(supplement.tables, 1):
        document.add_heading(f"Table S{number}. {table.title}", 2)
        _add_table(document, table, width)
        document.add_paragraph(table.caption, style="Table note")
    with replacing(path) as temporary:
        document.save(str(temporary))


def _empty_document(title: str) -> tuple[Document, int]:
    """A landscape page with numbers of pages and the styles of the tables; and the width of its text in twips."""
    import docx
    from docx.enum.section import WD_ORIENT
    from docx.enum.style import WD_STYLE_TYPE
    from docx.oxml import OxmlElement
    from docx.oxml.ns import qn
    from docx.shared import Cm, Pt, RGBColor

    document = docx.Document()
    document.core_properties.title, document.core_properties.author = title, "SarcoMAP"
    section = document.sections[0]
    section.orientation, section.page_width, section.page_height = WD_ORIENT.LANDSCAPE, Cm(29.7), Cm(21.0)
    section.left_margin = section.right_margin = section.top_margin = section.bottom_margin = Cm(1.8)
    for name, size in (("Normal", 10), ("Heading 1", 15), ("Heading 2", 11)):
        style = document.styles[name]
        style.font.name, style.font.size = "Arial", Pt(size)
        style.font.color.rgb = RGBColor(0, 0, 0)
        fonts = style.element.get_or_add_rPr().get_or_add_rFonts()
        for theme in ("asciiTheme", "hAnsiTheme", "eastAsiaTheme", "cstheme"):  # they would win over the name
            fonts.attrib.pop(qn(f"w:{theme}"), None)
    for name, size in (("Table text", 8), ("Table number", 8), ("Table head", 8), ("Table note", 8)):
        style = document.styles.add_style(name, WD_STYLE_TYPE.PARAGRAPH)
        style.base_style = document.styles["Normal"]
        style.font.size, style.font.bold = Pt(size), name == "Table head"
        space = Pt(4) if name == "Table note" else Pt(1)
        style.paragraph_format.space_before, style.paragraph_format.space_after = space, space
    document.styles["Table number"].paragraph_format.alignment = 2  # right
    run = section.footer.paragraphs[0].add_run()
    for kind, text in (("begin", ""), ("", "PAGE"), ("end", "")):
        element = OxmlElement("w:fldChar" if kind else "w:instrText")
        if kind:
            element.set(qn("w:fldCharType"), kind)
        else:
            element.text = text
        run._r.append(element)
    return document, int((29.7 - 3.6) / 2.54 * 1440)


def _add_table(document: Document, table: TextTable, width: int) -> None:
    """Append a table as XML, because a cell at a time through python-docx takes a hundred times as long."""
    from docx.oxml import parse_xml
    from docx.oxml.ns import nsdecls

    widths = [round(share * width) for share in column_shares(table)]
    styles = {name: document.styles[name].style_id for name in ("Table text", "Table number", "Table head")}
    looks = [styles["Table text"] if i < table.texts else styles["Table number"] for i in range(len(widths))]
    lines: list[str] = []
    head = "".join(
        _cell(cell, styles["Table head"], size, "top:12 bottom:6", right=i >= table.texts)
        for i, (cell, size) in enumerate(zip(table.header, widths, strict=True))
    )
    lines.append(f"<w:tr><w:trPr><w:cantSplit/><w:tblHeader/></w:trPr>{head}</w:tr>")
    for place, row in enumerate(table.rows):
        last = place == len(table.rows) - 1 and place not in table.remarks
        edges = " ".join((["top:4"] if place in table.blocks else []) + (["bottom:12"] if last else []))
        cells = "".join(_cell(c, look, size, edges) for c, look, size in zip(row, looks, widths, strict=True))
        lines.append(f"<w:tr><w:trPr><w:cantSplit/></w:trPr>{cells}</w:tr>")
        if place in table.remarks:
            edges = "bottom:12" if place == len(table.rows) - 1 else ""
            cells = _cell("", looks[0], widths[0], edges)
            cells += _cell(table.remarks[place], styles["Table text"], sum(widths[1:]), edges, span=len(widths) - 1)
            lines.append(f"<w:tr><w:trPr><w:cantSplit/></w:trPr>{cells}</w:tr>")
    grid = "".join(f'<w:gridCol w:w="{size}"/>' for size in widths)
    xml = (
        f'<w:tbl {nsdecls("w")}><w:tblPr><w:tblW w:w="{sum(widths)}" w:type="dxa"/>'
        '<w:tblLayout w:type="fixed"/><w:tblCellMar><w:left w:w="50" w:type="dxa"/><w:right w:w="50" w:type="dxa"/>'
        f"</w:tblCellMar></w:tblPr><w:tblGrid>{grid}</w:tblGrid>{''.join(lines)}</w:tbl>"
    )
    body: Any = document.element.body
    body.insert_element_before(parse_xml(xml), "w:sectPr")


def _cell(text: str, style: str, width: int, edges: str = "", *, span: int = 1, right: bool = False) -> str:
    sides = [edge.partition(":") for edge in edges.split()]
    borders = "".join(f'<w:{side} w:val="single" w:sz="{size}" w:color="333333"/>' for side, _, size in sides)
    properties = f'<w:tcW w:w="{width}" w:type="dxa"/>' + (f'<w:gridSpan w:val="{span}"/>' if span > 1 else "")
    properties += f"<w:tcBorders>{borders}</w:tcBorders>" if borders else ""
    align = '<w:jc w:val="right"/>' if right else ""
    run = f'<w:r><w:t xml:space="preserve">{escape(text, quote=False)}</w:t></w:r>' if text else ""
    return (
        f'<w:tc><w:tcPr>{properties}</w:tcPr><w:p><w:pPr><w:pStyle w:val="{style}"/>{align}</w:pPr>{run}</w:p></w:tc>'
    )
