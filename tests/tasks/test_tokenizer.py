"""Texts as pieces and back: what is lost on the way, and what is said of it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spiral_cli.data.tokenizer import UNKNOWN, blank, learnt, numbers, spelled, strangers, text, vocabulary
from spiral_cli.errors import UsageError
from spiral_cli.recipe.data import Tokens

TEXTS = ["Die Straße ist groß", "ein café – ﬁn …"] * 3
SMALL = "dießtrasgoncaféfn.– "  # what is left of them, small and by NFKC
MODELS = {
    (lower, translation): learnt(TEXTS, Tokens(kind="char", lower=lower), translation=translation)
    for lower in (False, True)
    for translation in (False, True)
}


@pytest.mark.parametrize(
    ("lower", "translation", "wanted"),
    [
        (True, False, "die straße fin ... ω"),
        (False, False, "Die Straße fin ... Ω"),
        (True, True, "die straße fin ... ω"),  # as asked for
        (False, True, "Die Straße ﬁn … Ω"),  # as it is written
    ],
)
def test_a_text_is_spelled_as_its_pieces_are(lower, translation, wanted):
    assert spelled(MODELS[lower, translation], ["Die  Straße ﬁn … Ω", ""]) == [wanted, ""]


def test_words_without_a_piece_stay_as_they_are():
    model = learnt(TEXTS, Tokens(kind="word"))
    assert spelled(model, ["die neue lange straße ist neu"]) == ["die neue lange straße ist neu"]


@settings(max_examples=100)
@given(st.lists(st.text(st.sampled_from("Dieß …ﬁ–\u200b\u00a0▁ΩÅ\u0301"), max_size=8), max_size=3), st.booleans())
def test_what_is_spelled_is_what_a_perfect_model_says(texts, lower):
    model = MODELS[lower, False]
    for pieces, again in zip(numbers(model, texts), spelled(model, texts), strict=True):
        assert UNKNOWN in pieces or text(model, pieces) == again
    assert blank(texts) == [not one.strip() for one in spelled(model, texts)]


@pytest.mark.parametrize(
    ("kind", "translation", "own"), [("unigram", False, 2), ("unigram", True, 4), ("bpe", False, 2)]
)
def test_characters_without_a_piece_are_refused_with_how_many_it_takes(kind, translation, own):
    count = len(set(SMALL))
    with pytest.raises(UsageError) as caught:
        learnt(TEXTS, Tokens(kind=kind, vocabulary=8), translation=translation)
    message = str(caught.value)
    assert f"data.tokens.vocabulary: received 8; the train part has {count} different characters," in message
    assert f"raise data.tokens.vocabulary to at least {count + own}," in message
    assert len(vocabulary(learnt(TEXTS, Tokens(kind=kind, vocabulary=count + own), translation=translation))) > count


def test_of_characters_all_are_pieces_and_of_words_the_most_frequent():
    assert len(vocabulary(learnt(TEXTS, Tokens(kind="char", vocabulary=8)))) == len(set(SMALL)) + 2
    assert len(vocabulary(learnt(TEXTS, Tokens(kind="word", vocabulary=8)))) == 8


def test_texts_of_characters_that_train_has_not_are_counted_but_not_words():
    model = learnt(["a cat", "a dog"] * 5, Tokens(kind="char"))
    pieces = {part: numbers(model, many) for part, many in {"train": ["a 猫"], "test": ["a 猫", "a cat", "犬"]}.items()}
    assert strangers(pieces, "texts", "char") == ["2 of 3 test texts hold characters that train has not"]
    assert strangers(pieces, "texts", "word") == []
