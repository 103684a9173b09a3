"""Inputs become studies with their eid and visit; a list that cannot be right is refused before anything starts."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pandas as pd
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from app.cohort import remote
from app.cohort.options import CohortOptions
from app.cohort.studies import find_studies
from operators.core.errors import InputError
from operators.core.options.declaration import OptionError


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")


def manifest(folder: Path, rows: Sequence[Sequence[object]], columns: Sequence[str] = ("path", "eid", "visit")) -> str:
    path = folder / "manifest.csv"
    with path.open("w", newline="") as opened:
        csv.writer(opened).writerows([columns, *rows])
    return str(path)


def test_a_folder_of_zips_gives_eid_and_visit_of_each(tmp_path: Path) -> None:
    touch(*(tmp_path / "10" / f"100000{n}_20201_{visit}_0.zip" for n in (1, 2) for visit in (2, 3)))
    touch(tmp_path / "readme.txt", tmp_path / "loose.zip")
    found = find_studies([str(tmp_path)])
    assert [one.folder for one in found] == ["1000001_2", "1000001_3", "1000002_2", "1000002_3", None]
    assert [(one.eid, one.visit) for one in found[:2]] == [("1000001", "2"), ("1000001", "3")]


def test_folders_of_dicom_and_patterns_and_repeated_inputs(tmp_path: Path) -> None:
    touch(tmp_path / "a" / "s1" / "1.dcm", tmp_path / "b" / "1.dcm")
    (tmp_path / "empty").mkdir()
    assert {Path(one.path).name for one in find_studies([str(tmp_path)])} == {"a", "b"}
    assert len(find_studies([str(tmp_path), str(tmp_path / "b")])) == 2
    assert [Path(one.path).name for one in find_studies([str(tmp_path / "b")])] == ["b"]
    touch(tmp_path / "x" / "1_20201_2_0.zip")
    assert [one.study for one in find_studies([f"{tmp_path}/*/*_20201_*.zip"])] == ["1_2"]


@pytest.mark.parametrize("ending", [".tmp", ".out", ".txt", ".pdf", ".log"])
def test_dicom_that_is_named_like_documents_makes_a_folder_a_study(tmp_path: Path, ending: str) -> None:
    touch(tmp_path / "a" / "1.dcm", tmp_path / "b" / "series" / f"1{ending}", tmp_path / "notes" / f"1{ending}")
    (tmp_path / "b" / "series" / f"2{ending}").write_bytes(bytes(128) + b"DICM")
    assert {Path(one.path).name for one in find_studies([str(tmp_path)])} == {"a", "b"}


def test_files_beside_zips_are_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(*(tmp_path / f"{n}_20201_2_0.zip" for n in range(3)), tmp_path / "1.txt")
    monkeypatch.setattr("app.cohort.folders._is_dicom", lambda file: pytest.fail(f"{file} was opened"))
    assert len(find_studies([str(tmp_path)])) == 3


def test_the_identity_of_a_folder_changes_with_any_of_its_files(tmp_path: Path) -> None:
    touch(tmp_path / "s" / "1.dcm", tmp_path / "s" / "2.dcm")
    first = find_studies([str(tmp_path / "s")])[0].identity
    (tmp_path / "s" / "2.dcm").write_text("y2")
    second = find_studies([str(tmp_path / "s")])[0].identity
    assert first is not None and second is not None and not first.same_file(second)


def test_two_inputs_of_one_visit_are_refused_and_the_others_stay(tmp_path: Path) -> None:
    touch(tmp_path / "a" / "1_20201_2_0.zip", tmp_path / "b" / "1_20201_2_1.zip", tmp_path / "b" / "2_20201_2_0.zip")
    first, second = find_studies([str(tmp_path)])
    assert first.problem is not None and first.problem.found == "2 inputs for one eid and visit"
    assert second.problem is None


def test_a_manifest_names_studies_and_a_missing_file_is_one_refusal(tmp_path: Path) -> None:
    touch(tmp_path / "in" / "p.zip", tmp_path / "q.zip")
    rows = [("in/p.zip", "1000001.0", "2", ""), ("q.zip", "", "", "site-7_b"), ("gone.zip", "3", "2", "")]
    found = {one.study: one for one in find_studies([manifest(tmp_path, rows, ("Path", "EID", "visit", "key"))])}
    assert set(found) == {"1000001_2", "site-7_b", "3_2"}
    missing = found["3_2"].problem
    assert missing is not None and missing.found == "no such file"
    table = pd.DataFrame({"path": ["q.zip"], "eid": [1000001], "visit": [2]})
    table.to_parquet(tmp_path / "m.parquet")
    assert [one.study for one in find_studies([str(tmp_path / "m.parquet")])] == ["1000001_2"]


@pytest.mark.parametrize(
    ("rows", "columns", "said"),
    [
        ([("q.zip", "1", "2"), ("q.zip", "1", "2")], ("path", "eid", "visit"), "line 2 and line 3"),
        ([("q.zip", "1", "2"), ("p.zip", "1", "2")], ("path", "eid", "visit"), "line 2 and line 3"),
        ([("q.zip", "../../etc", "2")], ("path", "eid", "visit"), "column eid"),
        ([("q.zip", "1", "a_b")], ("path", "eid", "visit"), "column visit"),
        ([("q.zip", "", "2")], ("path", "eid", "visit"), "visit without an eid"),
        ([("", "1", "2")], ("path", "eid", "visit"), "no path"),
        ([("q.zip", "1")], ("file", "eid"), "expected path"),
        ([], ("path", "eid"), "no rows"),
        ([("gone1.zip", "1", "2"), ("gone2.zip", "2", "2")], ("path", "eid", "visit"), "none of the 2 files exists"),
    ],
)
def test_a_manifest_that_cannot_be_right_is_refused(
    tmp_path: Path, rows: list[tuple[str, ...]], columns: tuple[str, ...], said: str
) -> None:
    touch(tmp_path / "q.zip", tmp_path / "p.zip")
    with pytest.raises(InputError, match=said):
        find_studies([manifest(tmp_path, rows, columns)])


def test_manifests_of_spreadsheets(tmp_path: Path) -> None:
    touch(tmp_path / "q.zip")
    blank = manifest(tmp_path, [("q.zip", "1", "2"), ("", "", ""), ()])
    assert [one.study for one in find_studies([blank])] == ["1_2"]
    with pytest.raises(InputError, match="4 cells below 3 column names"):
        find_studies([manifest(tmp_path, [("a, b", "q.zip", "1", "2")])])
    with pytest.raises(InputError, match="two columns eid"):
        find_studies([manifest(tmp_path, [("q.zip", "1", "2")], ("path", "eid", "EID"))])


def test_the_results_among_the_inputs_are_no_studies(tmp_path: Path) -> None:
    out = tmp_path / "all" / "cohort"
    touch(out.parent / "1_20201_2_0.zip", out / "studies" / "1_2" / "report.json", out / "copy_of.zip")
    assert [one.study for one in find_studies([str(out.parent)], leave_out=out)] == ["1_2"]
    assert [one.study for one in find_studies([str(tmp_path)], leave_out=out)] == ["1_2"]


def test_a_link_is_no_second_input_and_a_pipe_is_refused_unread(tmp_path: Path) -> None:
    touch(tmp_path / "1_20201_2_0.zip")
    (tmp_path / "again").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "2_20201_2_0.zip")
    (tmp_path / "3_20201_2_0.zip").symlink_to("nowhere")
    found = {one.study: one.problem for one in find_studies([str(tmp_path)])}
    assert set(found) == {"1_2", "2_2", "3_2"} and found["1_2"] is None
    assert [said.found for said in (found["2_2"], found["3_2"]) if said] == ["a pipe or a device", "no such file"]


def test_a_note_beside_the_zips_makes_the_archive_no_study(tmp_path: Path) -> None:
    touch(
        tmp_path / "README.txt", tmp_path / "md5sums", tmp_path / "10" / "1_20201_2_0.zip", tmp_path / "docs" / "a.pdf"
    )
    touch(tmp_path / "10" / "P3" / "IM1", tmp_path / "10" / ".backup" / "1_20201_2_0.zip")
    names = [Path(one.path).name for one in find_studies([str(tmp_path)])]
    assert sorted(names) == ["1_20201_2_0.zip", "P3"]  # and a folder of DICOM beside zips is not lost


def test_series_of_one_study_are_no_studies_of_their_own(tmp_path: Path) -> None:
    for folder, uid in (("one/a", "1.2"), ("one/b", "1.2"), ("two/a", "1.2"), ("two/b", "1.3")):
        header = Dataset()
        header.file_meta = FileMetaDataset()
        header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        header.SOPClassUID, header.SOPInstanceUID, header.StudyInstanceUID = "1.4", "1.5", uid
        (tmp_path / folder).mkdir(parents=True)
        header.save_as(tmp_path / folder / "IM1", enforce_file_format=True)
    assert [Path(one.path).name for one in find_studies([str(tmp_path / "one")])] == ["one"]
    assert len(find_studies([str(tmp_path / "two")])) == 2


def test_a_disc_with_a_zipped_viewer_is_a_study(tmp_path: Path) -> None:
    touch(tmp_path / "viewer" / "program.zip")
    (tmp_path / "IM1").write_bytes(bytes(128) + b"DICM")
    assert str(tmp_path) in [one.path for one in find_studies([str(tmp_path)])]


def test_results_are_no_inputs_however_they_are_reached(tmp_path: Path) -> None:
    out = tmp_path / "in" / "out"
    touch(tmp_path / "in" / "1_20201_2_0.zip", out / "run.json", out / "studies" / "1_2" / "derived" / "1.dcm")
    touch(out / "ledger" / "a.jsonl", tmp_path / "in" / "single" / "report.json")
    touch(tmp_path / "in" / "single" / "fused" / "water.nrrd", tmp_path / "in" / "single" / "derived" / "1.dcm")
    (tmp_path / "link").symlink_to(tmp_path / "in")
    for given in ("in", "link", "in/../in", "in/*"):
        for leave_out in (out, tmp_path / "in" / ".." / "in" / "out", tmp_path / "another"):
            found = find_studies([str(tmp_path / given)], leave_out=leave_out)
            assert [one.study for one in found] == ["1_2"]


def test_a_folder_that_cannot_be_listed_loses_no_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path / "10" / "1_20201_2_0.zip", tmp_path / "11" / "2_20201_2_0.zip")
    listed = os.scandir

    def scandir(place: Path) -> object:
        if Path(place).name == "11":
            raise PermissionError(13, "Permission denied")
        return listed(place)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(InputError, match=r"11: cannot be listed \(Permission denied\)"):
        find_studies([str(tmp_path)])


def test_names_of_other_encodings_and_names_that_no_file_can_have(tmp_path: Path) -> None:
    odd = os.fsdecode(b"M\xfcller.zip")  # Latin-1, from an old share
    touch(tmp_path / odd, tmp_path / "d" / odd / "IM1")
    assert len(find_studies([str(tmp_path)])) == 2
    with pytest.raises(InputError, match="no such file"):
        find_studies(["x" * 300 + ".zip"])
    with pytest.raises(InputError, match="none of the 1 files exists"):
        find_studies([manifest(tmp_path, [("a\0b.zip",)], ("path",))])


def test_a_list_that_is_no_manifest_is_refused_before_it_is_taken_for_a_study(tmp_path: Path) -> None:
    touch(tmp_path / "list.txt", tmp_path / "1_20201_2_0.zip")
    with pytest.raises(InputError, match="save it as .csv"):
        find_studies([str(tmp_path / "list.txt")])
    assert len(find_studies([f"{tmp_path}/*"])) == 1


@pytest.mark.parametrize(
    "content",
    [
        b"path;eid\n1_20201_2_0.zip;1\n",
        b"sep=;\r\npath;eid\r\n1_20201_2_0.zip;1\r\n",
        "\ufeffpath\teid\r\n1_20201_2_0.zip\t1\r\n".encode(),
        "path\teid\n1_20201_2_0.zip\t1\n".encode("utf-16"),
        b"path\r1_20201_2_0.zip\r",
    ],
)
def test_tables_of_spreadsheets_of_other_countries(tmp_path: Path, content: bytes) -> None:
    touch(tmp_path / "1_20201_2_0.zip")
    (tmp_path / "m.csv").write_bytes(content)
    assert [one.study for one in find_studies([str(tmp_path / "m.csv")])] == ["1_2"]


def test_a_manifest_that_would_lose_rows_is_refused_with_the_line(tmp_path: Path) -> None:
    touch(tmp_path / "1.zip", tmp_path / "2.zip")
    (tmp_path / "m.csv").write_text('path,note\n1.zip,"not closed\n2.zip,\n')
    with pytest.raises(InputError, match="line 3: a cell that goes over several lines"):
        find_studies([str(tmp_path / "m.csv")])
    (tmp_path / "m.csv").write_bytes("path,note\n\n1.zip,M\u00fcller\n".encode("latin-1"))
    with pytest.raises(InputError, match="line 3: a letter that is not UTF-8"):
        find_studies([str(tmp_path / "m.csv")])


def test_two_visits_in_a_manifest_without_visits_are_two_studies(tmp_path: Path) -> None:
    touch(tmp_path / "1_20201_2_0.zip", tmp_path / "1_20201_3_0.zip")
    rows = [("1_20201_2_0.zip", "9"), ("1_20201_3_0.zip", "9")]
    assert [one.study for one in find_studies([manifest(tmp_path, rows, ("path", "eid"))])] == ["9_2", "9_3"]


def test_a_link_inside_a_folder_counts_for_its_identity(tmp_path: Path) -> None:
    touch(tmp_path / "s" / "IM1", tmp_path / "elsewhere" / "IM2")
    (tmp_path / "s" / "more").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "round").symlink_to(tmp_path / "s")
    first = find_studies([str(tmp_path / "s")])[0].identity
    (tmp_path / "elsewhere" / "IM2").write_text("longer")
    second = find_studies([str(tmp_path / "s")])[0].identity
    assert first is not None and second is not None and not first.same_file(second)


def test_inputs_that_are_not_there_are_refused(tmp_path: Path) -> None:
    for given in (str(tmp_path / "no"), str(tmp_path), f"{tmp_path}/*.zip", str(tmp_path / "no.csv")):
        with pytest.raises(InputError):
            find_studies([given])


def test_urls_are_read_with_fsspec(tmp_path: Path) -> None:
    pytest.importorskip("fsspec")
    touch(tmp_path / "1_20201_2_0.zip", tmp_path / "n.txt")
    (one,) = find_studies([f"file://{tmp_path}"])
    assert one.study == "1_2" and one.identity is not None and one.identity.size == 1 and one.identity.mark
    assert [two.study for two in find_studies([f"file://{tmp_path}/*.zip"])] == ["1_2"]
    with pytest.raises(InputError, match="none of the 1"):
        find_studies([manifest(tmp_path, [(f"file://{tmp_path}/no.zip", "1", "2")])])


def test_zips_of_a_web_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("fsspec")
    pytest.importorskip("aiohttp")
    monkeypatch.setattr(remote, "_PAUSES_S", (0.0,))
    monkeypatch.setattr(SimpleHTTPRequestHandler, "log_message", lambda *_: None)
    touch(tmp_path / "in" / "1_20201_2_0.zip")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=tmp_path / "in")) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/"
        (one,) = find_studies([address])
        assert (one.study, one.path) == ("1_2", f"{address}1_20201_2_0.zip")
        assert one.identity is not None and one.identity.size == 1 and "GMT" in one.identity.mark
        assert remote.fetch(f"{one.path}?token=a", tmp_path / "copy").read_text() == "x"
        assert remote.remote_identity(f"{address}2_20201_2_0.zip") is None
        with pytest.raises(InputError, match="the download failed"):
            remote.fetch(f"{address}2_20201_2_0.zip", tmp_path / "copy")
        server.shutdown()
    with pytest.raises(InputError, match="cannot be listed"):  # no server is not the same as no file
        remote.remote_identity(one.path)


@pytest.mark.parametrize("shard", ["0/3", "4/3", "3", "a/b", "1/0"])
def test_a_shard_is_one_of_n(shard: str) -> None:
    with pytest.raises(OptionError):
        CohortOptions(shard=shard)
    assert CohortOptions(shard="3/3").part == (2, 3)


def test_options_that_contradict_are_refused() -> None:
    for wrong in ({"scheduler": "tcp://a:1", "workers": 2}, {"scheduler": "a", "shard": "1/2"}, {"memory_limit": 0.0}):
        with pytest.raises(OptionError):
            CohortOptions(**wrong)  # type: ignore[arg-type]
