"""Sentences and their translations, line by line and in tables."""

from __future__ import annotations

import json

import numpy as np
import pytest
from toys import found_in

from spiral_cli.data.pairs import PairRows
from spiral_cli.data.parallel import load_pairs, retold
from spiral_cli.data.tokenizer import BEGIN, END
from spiral_cli.errors import MissingError
from spiral_cli.recipe.data import Data
from spiral_cli.recipe.schema import Recipe

PAIRS = [
    (f"the {a} {b}", f"{b.upper()} die {a}") for a in ("dog", "cat", "man") for b in ("runs", "sleeps", "eats")
] * 6


def write(folder, part, source, target, end="\n"):
    (folder / f"{part}.en").write_bytes(end.join([*source, ""]).encode())
    (folder / f"{part}.de").write_bytes(end.join([*target, ""]).encode())


def settings(folder, **more):
    tokens = {"kind": "word", "lower": False, **more.pop("tokens", {})}
    return Data(
        format="parallel_text", path=str(folder), columns={"source": "en", "target": "de"}, tokens=tokens, **more
    )


def test_a_row_is_what_the_encoder_reads_and_the_decoder_is_given(tmp_path):
    write(tmp_path, "train", *zip(*PAIRS, strict=True), end="\r\n")
    write(tmp_path, "val", *zip(*PAIRS[:4], strict=True))
    data = load_pairs(settings(tmp_path), 0)
    told = data.preprocessing
    source, target = told.lengths
    assert (source, target) == (4, 4) and len(data.test.y) == 4 and found_in(data) == ()
    for row, labels in zip(data.train.x, data.train.y, strict=True):
        assert row[source] == BEGIN and row[:source][row[:source] != 0][-1] == END
        heard = labels[:-1] * (labels[:-1] != END)  # what is said is what is heard next, but for the end
        np.testing.assert_array_equal(row[source + 1 :], heard)
        assert labels[labels != 0][-1] == END
    assert data.test.references == tuple(target for _, target in PAIRS[:4])
    assert [told.text(row) for row in data.test.y] == list(data.test.references)
    assert told.sentence(data.test.x[0]) == PAIRS[0][0]
    assert PairRows.read(json.loads(json.dumps(vars(told)))) == told
    np.testing.assert_allclose(data.train.weight, 1.0)  # all translations are as long
    stored = told.rows([PAIRS[0][0]])
    np.testing.assert_array_equal(stored[0, source:], [BEGIN, 0, 0, 0])
    encoder, decoder = told.inputs(data.test.x, np.array([3, 2]))
    assert encoder.shape == (4, 3) and decoder.shape == (4, 2)


def test_files_of_other_lengths_are_refused_with_both_counts(tmp_path):
    source, target = zip(*PAIRS, strict=True)
    write(tmp_path, "train", source, target[:-1])
    with pytest.raises(MissingError, match=r"train\.en has 54 lines and .*de 53.*de ends after line 53 of 54"):
        load_pairs(settings(tmp_path), 0)
    (tmp_path / "train.de").unlink()
    with pytest.raises(MissingError, match=r"there is no .*train\.de; a part is two files"):
        load_pairs(settings(tmp_path), 0)


def test_empty_and_long_pairs_are_counted_and_references_stay_whole(tmp_path):
    source, target = (list(side) for side in zip(*PAIRS, strict=True))
    write(tmp_path, "train", [*source, "", "blank", "a " * 30], [*target, "leer", "\u200b", "b"])
    write(tmp_path, "val", [*source[:3], "cat " * 12], [*target[:3], "y " * 20])
    data = load_pairs(settings(tmp_path, tokens={"max_length": 8}), 0)
    told = data.preprocessing
    assert found_in(data) == (
        "2 of 57 train pairs have an empty side and are left out",
        "1 of 49 train pairs have 8 pieces or more and are left out",
        "1 of 4 test sentences have 8 pieces or more and are cut off",
    )
    assert told.lengths[0] == 8 and data.test.references[-1] == ("y " * 20).strip()


def test_a_train_part_of_long_pairs_alone_is_refused_with_their_lengths(tmp_path):
    write(tmp_path, "train", [*["a b c d"] * 20, "a b"], [*["c d"] * 20, "a b c d e f"])
    write(tmp_path, "val", ["a"], ["b"])
    with pytest.raises(
        MissingError,
        match=r"all 19 train pairs have 4 pieces or more, 4 to [46], .* raise data\.tokens\.max_length above 4",
    ):
        load_pairs(settings(tmp_path, tokens={"max_length": 4}), 0)


PARK = [(f"A dog runs in the Park {number}", f"Ein Hund läuft im „Großen“ Park … {number}") for number in range(40)]


@pytest.mark.parametrize("lower", [None, True])
def test_a_model_says_what_it_is_measured_against_unless_all_is_to_be_small(tmp_path, lower):
    sacrebleu = pytest.importorskip("sacrebleu")
    write(tmp_path, "train", *zip(*PARK, strict=True))
    write(tmp_path, "val", *zip(*PARK[:10], strict=True))
    said = {} if lower is None else {"tokens": {"lower": lower}}
    values = {"format": "parallel_text", "path": str(tmp_path), "columns": {"source": "en", "target": "de"}, **said}
    recipe = Recipe.model_validate({"task": "translation", "data": values, "teacher": {"path": "none.keras"}})
    data = load_pairs(recipe.data, 0)
    assert data.test.references == tuple(target for _, target in PARK[:10])
    perfect = [data.preprocessing.text(row) for row in data.test.y]
    bleu = sacrebleu.corpus_bleu(perfect, [list(data.test.references)]).score
    if lower is None:
        assert bleu == pytest.approx(100) and found_in(data) == ()
    else:
        assert bleu < 50 and found_in(data) == tuple(
            f"{count} of {count} {part} translations are written as no model can say, for data.tokens.lower makes "
            "everything small and alike: BLEU and chrF are against them as they are"
            for part, count in (("validation", 4), ("test", 10))
        )


def test_a_table_of_pairs_is_the_same_as_two_files(tmp_path):
    write(tmp_path, "train", *zip(*PAIRS, strict=True))
    table = tmp_path / "table"
    table.mkdir()
    (table / "train.tsv").write_text("en\tde\n" + "".join(f"{a}\t{b}\n" for a, b in PAIRS))
    both = [
        load_pairs(Data(format=name, path=str(path), columns={"source": "en", "target": "de"}), 5).fingerprint()
        for name, path in (("parallel_text", tmp_path), ("parallel_table", table))
    ]
    assert both[0] == both[1]


def test_what_a_teacher_says_takes_the_place_of_the_translations(tmp_path):
    write(tmp_path, "train", *zip(*PAIRS, strict=True))
    data = load_pairs(settings(tmp_path), 0)
    told = data.preprocessing
    said = ["RUNS die dog", *[""] * (len(data.train.y) - 1)]
    other = retold(told, data.train, said)
    source = told.lengths[0]
    np.testing.assert_array_equal(other.x[:, :source], data.train.x[:, :source])
    assert [told.text(row) for row in other.y] == said and other.y[1].tolist() == [END, *[0] * (len(other.y[1]) - 1)]
    np.testing.assert_array_equal(other.x[:, source + 1 :], other.y[:, :-1] * (other.y[:, :-1] != END))


def test_characters_that_train_has_not_are_counted_on_both_sides(tmp_path):
    source, target = (list(side) for side in zip(*PAIRS, strict=True))
    write(tmp_path, "train", source, target)
    write(tmp_path, "val", [*source[:3], "日本"], [*target[:2], "ÿ", "ÿ"])
    notes = load_pairs(settings(tmp_path, tokens={"kind": "bpe", "vocabulary": 60}), 0).notes
    assert "1 of 4 test sentences hold characters that train has not" in notes
    assert "2 of 4 test translations hold characters that train has not" in notes
