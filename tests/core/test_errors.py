"""Messages and exit codes of errors."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

import operators.core.options  # noqa: F401  (has a kind of its own)
from analysis.errors import AnalysisError
from operators.core.errors import InputError, InternalError, SarcoMapError
from operators.core.volume import Grid, Volume


def all_kinds(base: type[Any]) -> set[type[Any]]:
    return {base, *(kind for child in base.__subclasses__() for kind in all_kinds(child))}


def test_an_internal_error_does_not_blame_the_input() -> None:
    with pytest.raises(InternalError) as caught:
        Volume(np.zeros((2, 2, 2), np.uint8), Grid((2, 2, 3), np.eye(4)))
    error = caught.value
    assert not isinstance(error, InputError)
    assert error.exit_code == 1 != InputError.exit_code
    assert "report it" in error.remedy
    assert str(error) == f"volume: (2, 2, 2) voxels; expected the grid's (2, 2, 3). {error.remedy}"


@pytest.mark.parametrize("kind", sorted(all_kinds(SarcoMapError), key=str))
def test_errors_cross_processes_whole(kind: type[SarcoMapError]) -> None:
    answers = ("where", "found", "expected", "remedy")[: 3 if issubclass(kind, InternalError) else 4]
    error = kind(*answers)
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind and str(copy) == str(error)
    assert vars(copy) == vars(error) and copy.exit_code == error.exit_code


def test_errors_of_the_analysis_cross_processes_whole() -> None:
    for kind in all_kinds(AnalysisError):
        error = kind("where", "found", "expected", "remedy")
        assert vars(pickle.loads(pickle.dumps(error))) == vars(error)
