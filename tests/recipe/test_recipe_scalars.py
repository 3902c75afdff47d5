"""What written scalars mean."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiral_cli.recipe.scalars import escape, expand, plain


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3e-4", 3e-4),
        ("3.0e-4", 3e-4),
        ("1E5", 1e5),
        (".5", 0.5),
        ("5.", 5.0),
        ("-0.25", -0.25),
        ("+7", 7),
        ("0", 0),
        ("true", True),
        ("False", False),
        ("~", None),
        ("", None),
        ("null", None),
    ],
)
def test_numbers_truth_and_nothing(text: str, value: object) -> None:
    assert plain(text) == value
    assert type(plain(text)) is type(value)


@pytest.mark.parametrize(
    "text",
    ["no", "off", "yes", "on", "y", "2024-01-31", "010", "1:30", "1_000", "0x10", ".inf", ".nan", "1e999", "9" * 30],
)
def test_the_traps_of_yaml_1_1_are_text(text: str) -> None:
    assert plain(text) == text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${EPOCHS}", 12),
        ("${MISSING:-3}", 3),
        ("${EMPTY:-3}", 3),
        ("${EMPTY}", None),
        ("${MISSING:-}", None),
        ("${MISSING:-true}", True),
        ("/data/${NAME}/x", "/data/fashion/x"),
        ("${EPOCHS}${EPOCHS}", "1212"),
        ("$${NAME}", "${NAME}"),
        ("$NAME", "$NAME"),
    ],
)
def test_variables(text: str, value: object) -> None:
    assert expand(text, {"EPOCHS": "12", "NAME": "fashion", "EMPTY": ""}) == value


@pytest.mark.parametrize("text", ["${MISSING}", "${", "${a b}", "a ${1x} b", "${X-3}"])
def test_wrong_variables_say_what_is_allowed(text: str) -> None:
    with pytest.raises(ValueError, match=r"received .*\$\{"):
        expand(text, {})


@given(st.text(alphabet="${}:-aB ", max_size=20))
def test_escaped_text_expands_to_itself(text: str) -> None:
    assert expand(escape(text), {}) == text
