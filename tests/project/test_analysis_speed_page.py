"""The benchmark of the analysis writes its figures where the page shows them."""

from __future__ import annotations

from pathlib import Path

from benchmarks.analysis_speed import with_full_run, with_rows

_PAGE = Path(__file__).parents[2] / "docs/analysis-checks.md"
_ROW = {"n": 37004, "load_before": 0.2, "whole_run_s": 7.94, "processor_s": 10.6, "peak_gib": 0.35, "models_s": 0.3,
        "models_r_s": 2.7}  # fmt: skip


def test_the_rows_of_the_table_are_replaced_and_nothing_else() -> None:
    page = _PAGE.read_text("utf-8")
    made = with_rows(page, [_ROW])
    assert "| 37,004 | 7.9 s | 11 s | 0.35 GiB | 0.30 s | 2.7 s, 9.0 times as long |" in made
    old, new = (text.split("## Speed and memory")[1].split("![")[0].count("\n| ") for text in (page, made))
    assert new == 2 and old >= 2
    assert made.split("## Speed and memory")[0] == page.split("## Speed and memory")[0]


def test_the_sentence_about_full_is_replaced_and_tells_of_a_busy_machine() -> None:
    page = _PAGE.read_text("utf-8")
    made = with_full_run(page, [_ROW])
    assert "With `--full`, a run of 37,004 takes 8 s, 11 s of processor time and 0.35 GiB." in made
    assert len(made.splitlines()) == len(page.splitlines())
    assert "GiB, on a machine that had other work." in with_full_run(page, [_ROW | {"load_before": 3.0}])
