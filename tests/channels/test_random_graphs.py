"""Removal equals masking on graphs drawn at random."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st
from random_graphs import draw_model
from removals import check_removal

from spiral_cli.errors import UsageError

SLOW_TO_DRAW = [HealthCheck.too_slow, HealthCheck.data_too_large]


def law(seed: int) -> None:
    """Removal equals masking for the model of ``seed``, if it has channels that may leave."""
    try:
        check_removal(draw_model(seed), seed, tolerance=3e-5, changes=False)
    except UsageError as error:
        assert "no channel" in str(error)
        reject()


@settings(max_examples=8, derandomize=True, database=None, suppress_health_check=SLOW_TO_DRAW)
@given(st.integers(0, 10**6))
def test_removal_equals_masking_on_random_graphs(seed: int) -> None:
    law(seed)


@pytest.mark.slow
@settings(max_examples=300, derandomize=True, database=None, suppress_health_check=SLOW_TO_DRAW)
@given(st.integers(0, 10**6))
def test_removal_equals_masking_on_many_random_graphs(seed: int) -> None:
    law(seed)
