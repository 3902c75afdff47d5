"""Removal equals masking, for every kind of layer that is covered."""

from __future__ import annotations

import numpy as np
import pytest
from kinds import KINDS
from removals import check_removal

from spiral_cli.channels.choice import parameters_of

LOOSE = {"half_precision": 0.05}


@pytest.mark.parametrize("name", KINDS)
def test_removal_equals_masking(name: str) -> None:
    model = KINDS[name]()
    small, channels = check_removal(model, seed=sum(name.encode()), tolerance=LOOSE.get(name, 1e-5))
    assert small.count_params() < model.count_params()
