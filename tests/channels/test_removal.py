"""Removal equals masking, for every kind of layer that is covered."""

from __future__ import annotations

import pytest
from all_kinds import KINDS, STAY
from removals import check_removal

from spiral_cli.models.names import fresh_names

LOOSE = {"half_precision": 0.05}


@pytest.mark.parametrize("name", KINDS)
def test_removal_equals_masking(name: str) -> None:
    fresh_names()
    model = KINDS[name]()
    small, channels = check_removal(model, seed=sum(name.encode()), tolerance=LOOSE.get(name, 1e-5))
    stay = {layer for layer, reason in channels.held.items() if reason != "an output of the model"}
    assert stay == STAY.get(name, set())
    assert [layer.name for layer in small.layers] == [layer.name for layer in model.layers]
