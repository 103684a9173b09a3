"""Files and folders appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from analysis.files import replacing as replacing_table
from operators.core.errors import OutputError
from operators.core.output_files import new_folder, replacing, require_new


def write_and_stop(writing: AbstractContextManager[Path], *inside: str) -> None:
    with writing as temporary:
        temporary.joinpath(*inside).write_text("new", encoding="utf-8")
        raise KeyError("stopped")


def test_a_folder_appears_when_all_is_in_it(tmp_path: Path) -> None:
    target = tmp_path / "above" / "new"
    with new_folder(target) as folder:
        (folder / "a").write_text("1", encoding="utf-8")
        assert not target.exists()
    assert [path.name for path in target.iterdir()] == ["a"]
    assert [path.name for path in target.parent.iterdir()] == ["new"]


def test_nothing_is_left_of_a_folder_that_failed(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="stopped"):
        write_and_stop(new_folder(tmp_path / "new"), "a")
    assert list(tmp_path.iterdir()) == []


def test_an_empty_folder_is_taken_and_one_with_something_in_it_is_not(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    with new_folder(tmp_path / "new") as folder:
        (folder / "a").touch()
    with pytest.raises(OutputError, match="something in it"):
        require_new(tmp_path / "new")
    with pytest.raises(OutputError, match="a file"):
        require_new(tmp_path / "new" / "a")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_place_that_cannot_be_written_is_refused_at_once(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="cannot be written"):
        require_new(tmp_path / "new" / "deeper")


def test_a_file_in_place_of_a_parent_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        require_new(tmp_path / "file" / "new")


def test_a_file_is_replaced_at_the_end(tmp_path: Path) -> None:
    target = tmp_path / "a"
    target.write_text("old", encoding="utf-8")
    with pytest.raises(KeyError, match="stopped"):
        write_and_stop(replacing(target))
    assert target.read_text(encoding="utf-8") == "old"
    with replacing(target) as temporary:
        temporary.write_text("new", encoding="utf-8")
    assert target.read_text(encoding="utf-8") == "new" and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("replacing_one", [replacing, replacing_table])
def test_two_writers_with_one_process_number_do_not_meet(
    tmp_path: Path, replacing_one: Callable[[Path], AbstractContextManager[Path]]
) -> None:
    # Jobs in containers that share a folder are all process 1 of theirs, and begin together.
    target = tmp_path / "run.json"
    with replacing_one(target) as first:
        first.write_text("first", encoding="utf-8")
        with replacing_one(target) as second:
            second.write_text("2", encoding="utf-8")
        assert target.read_text(encoding="utf-8") == "2"
    assert target.read_text(encoding="utf-8") == "first" and len(list(tmp_path.iterdir())) == 1
