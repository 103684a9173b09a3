"""Messages and exit codes of errors."""

from __future__ import annotations

import numpy as np
import pytest

from operators.core.errors import InputError, InternalError
from operators.core.volume import Grid, Volume


def test_an_internal_error_does_not_blame_the_input() -> None:
    with pytest.raises(InternalError) as caught:
        Volume(np.zeros((2, 2, 2), np.uint8), Grid((2, 2, 3), np.eye(4)))
    error = caught.value
    assert not isinstance(error, InputError)
    assert error.exit_code == 1 != InputError.exit_code
    assert "report it" in error.remedy
    assert str(error) == f"volume: (2, 2, 2) voxels; expected the grid's (2, 2, 3). {error.remedy}"
