"""Tables and folders of texts, as people have them: wrong in the ways real ones are."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from toys import found_in

from spiral_cli.data.pairs import PairRows
from spiral_cli.data.tables import read_table
from spiral_cli.data.texts import load_texts
from spiral_cli.data.tokenizer import blank, learnt, numbers
from spiral_cli.errors import MissingError
from spiral_cli.recipe.data import Data, Tokens
from spiral_cli.tasks.text_classification import TextClassification
from spiral_cli.tasks.translation import Translation

WANTED = {"text": "text", "label": "label"}


def rows(path, **wanted):
    return list(read_table(path, wanted or WANTED))


def test_windows_line_ends_a_byte_order_mark_and_empty_lines_are_read_over(tmp_path):
    path = tmp_path / "train.tsv"
    path.write_bytes('\ufefflabel\ttext\r\npos\tschön "gut"\r\n\r\nneg\tschlecht\r\n'.encode())
    assert rows(path) == [(2, {"text": 'schön "gut"', "label": "pos"}), (4, {"text": "schlecht", "label": "neg"})]


def test_quotes_hold_commas_and_lines_in_comma_separated_text(tmp_path):
    path = tmp_path / "train.csv"
    path.write_text('text,label\n"a, ""b""\nc",x\nplain,y\n')
    assert rows(path) == [(3, {"text": 'a, "b"\nc', "label": "x"}), (4, {"text": "plain", "label": "y"})]


@pytest.mark.parametrize("header", ["text,label", "text, label", '"text", "label"'])
def test_spaces_behind_a_comma_are_of_no_field(tmp_path, header):
    path = tmp_path / "train.csv"
    path.write_text(f'{header}\n"a, b", "neg"\nc d,  pos\n" e", neg\n')
    fields = [("a, b", "neg"), ("c d", "pos"), (" e", "neg")]
    assert [(row["text"], row["label"]) for _, row in rows(path)] == fields


def test_semicolons_may_stand_between_the_fields_of_comma_separated_text(tmp_path):
    path = tmp_path / "train.csv"
    path.write_text('id;text;label\r\n1;a, b;x\r\n2;"c; d";y\r\n')
    assert rows(path) == [(2, {"text": "a, b", "label": "x"}), (3, {"text": "c; d", "label": "y"})]
    path.write_text("text,label,more;or;less\na;b,x,c\n")
    assert rows(path) == [(2, {"text": "a;b", "label": "x"})]
    path.write_text("Text;Class\na;x\n")
    with pytest.raises(MissingError, match=r"line 1: there is no column 'text', only Text, Class"):
        rows(path)


def test_tab_separated_text_is_unquoted_if_all_of_it_is_quoted_as_csv_writers_do(tmp_path):
    path = tmp_path / "train.tsv"
    texts = ['he said "hi" there', '"Great" he said', "", "plain", "it's 5\" wide"]
    with path.open("w", newline="") as file:
        writer = csv.writer(file, delimiter="\t")
        writer.writerows([("text", "label"), *((text, f"kind {number}") for number, text in enumerate(texts))])
    assert [row["text"] for _, row in rows(path)] == texts
    with path.open("w", newline="") as file:
        csv.writer(file, delimiter="\t", quoting=csv.QUOTE_ALL).writerows(
            [("text", "label"), *((t, "x") for t in texts)]
        )
    assert [row["text"] for _, row in rows(path)] == texts and rows(path)[0][1]["label"] == "x"


@pytest.mark.parametrize("letter", ['"hello" he said', 'he said "hello"', '"', '"a" or "b"', '"a', 'a"'])
def test_one_quote_that_is_a_letter_makes_all_of_a_file_letters(tmp_path, letter):
    path = tmp_path / "train.tsv"
    path.write_text(f'text\tlabel\n"all of it"\tx\n{letter}\ty\n')
    assert [row["text"] for _, row in rows(path)] == ['"all of it"', letter]


def test_classes_that_are_numbers_of_json_are_the_same_as_float(tmp_path):
    path = tmp_path / "train.jsonl"
    values = [1, 1.0, -0.0, 1.5, 1e300, True, "1.0"]
    path.write_text("".join(json.dumps({"text": "a", "label": value}) + "\n" for value in values))
    assert [row["label"] for _, row in rows(path)] == ["1", "1", "0", "1.5", "1e+300", "True", "1.0"]


def test_json_lines_may_hold_numbers_and_other_names(tmp_path):
    path = tmp_path / "train.jsonl"
    path.write_text(json.dumps({"sentence": "ä b", "class": 3, "more": None}) + "\n\n")
    assert rows(path, text="sentence", label="class") == [(1, {"text": "ä b", "label": "3"})]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.tsv", b"label\ttext\npos\ta\tb\n", r"t\.tsv, line 2: received 3 fields; the header has 2"),
        (
            "t.tsv",
            b"labels\ttext\npos\ta\n",
            r"line 1: there is no column 'label', only labels, text",
        ),
        ("t.tsv", b'label\ttext\npos\t"a\nb"\n', r"t\.tsv, line 3: received 1 fields; the header has 2; in a"),
        (
            "t.tsv",
            b'label\ttext\npos\t"a\tb"\n',
            r"received 3 fields; the header has 2; in a \.tsv no field holds a tab",
        ),
        ("t.tsv", b"", r"t\.tsv is empty; its first line names the columns: text, label"),
        ("t.tsv", b"label\ttext\npos\t\xff\n", r"t\.tsv, line 2: the byte 0xff is no UTF-8"),
        ("t.jsonl", b'{"text": "a", "label": "x"}\n{"text": \n', r"t\.jsonl, line 2: is no JSON"),
        ("t.jsonl", b"[1]\n", r"t\.jsonl, line 1: is no object"),
        ("t.jsonl", b'{"text": "a"}\n', r"line 1: there is no text or number under 'label', only text"),
        ("t.jsonl", b'{"text": null, "label": 1}\n', r"line 1: 'text' is null; allowed is a text or a number$"),
        ("t.jsonl", b'{"text": "a", "label": [1]}\n', r"line 1: 'label' is a list; allowed is a text or a number$"),
        ("t.jsonl", b'{"text": {}, "label": 1}\n', r"line 1: 'text' is an object; allowed"),
        ("t.jsonl", b'\n{"text": "a \\ud83d", "label": 1}\n', r"line 2: 'text' holds \\ud83d, half of a character"),
        ("t.jsonl", b'{"text": "a", "label": ' + b"1" * 5000 + b"}", r"line 1: is no JSON that can be read \(Exceeds"),
        ("t.jsonl", b"\n" + b"[" * 100_000, r"line 2: is no JSON that can be read \(maximum recursion depth"),
        ("t.txt", b"a\n", r"t\.txt is no table; allowed are files that end in \.tsv, \.csv"),
    ],
)
def test_what_does_not_fit_is_refused_with_file_and_line(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(MissingError, match=message):
        rows(tmp_path / name)


@pytest.mark.parametrize("name", ["t.tsv", "t.csv", "t.jsonl"])
def test_columns_that_need_not_be_there_are_read_where_they_are(tmp_path, name):
    tab = "\t" if name == "t.tsv" else ","
    lines = {
        True: [f"text{tab}label{tab}start", f"a{tab}x{tab}1.5"]
        if name != "t.jsonl"
        else ['{"text": "a", "label": "x", "start": 1.5}'],
        False: [f"text{tab}label", f"a{tab}x"] if name != "t.jsonl" else ['{"text": "a", "label": "x", "start": null}'],
    }
    for there, content in lines.items():
        (tmp_path / name).write_text("\n".join(content))
        ((_, row),) = read_table(tmp_path / name, WANTED, {"offset": "start", "duration": "length"})
        assert row == {"text": "a", "label": "x", **({"offset": "1.5"} if there else {})}


def write(folder, part, pairs):
    (folder / f"{part}.tsv").write_text("label\ttext\n" + "".join(f"{label}\t{text}\n" for label, text in pairs))


WORDS = {"good": ["fine film", "a great story", "very good fun"], "bad": ["poor plot", "a dull mess", "very bad show"]}


def corpus(count: int, seed: int) -> list[tuple[str, str]]:
    rng = np.random.default_rng(seed)
    labels = rng.choice(list(WORDS), count)
    return [(str(label), f"{rng.choice(WORDS[label])} number {rng.integers(9)}") for label in labels]


def test_texts_become_rows_whose_padding_is_zero(tmp_path):
    write(tmp_path, "train", corpus(60, 1))
    write(tmp_path, "test", corpus(10, 2))
    settings = Data(format="text_table", path=str(tmp_path), tokens={"kind": "word", "max_length": 12})
    data, again = load_texts(settings, 3), load_texts(settings, 3)
    assert data.fingerprint() == again.fingerprint() and data.preprocessing == again.preprocessing
    assert (len(data.train.y), len(data.validation.y), len(data.test.y)) == (54, 6, 10)
    assert data.preprocessing.classes == ("bad", "good") and found_in(data) == ()
    for part in (data.train, data.validation, data.test):
        counts = np.count_nonzero(part.x, axis=1)
        np.testing.assert_array_equal(counts, part.lengths[:, 0])
        assert all((row[:count] != 0).all() for row, count in zip(part.x, counts, strict=True))
    told = type(data.preprocessing).read(json.loads(json.dumps(vars(data.preprocessing))))
    assert told == data.preprocessing and told.differences(data.preprocessing) == []
    np.testing.assert_array_equal(told.rows(["Very GOOD fun number 3"])[0], told.rows(["very good fun number 3"])[0])


def test_what_is_odd_is_counted(tmp_path):
    write(tmp_path, "train", [*corpus(40, 1), ("good", "  "), ("good", "word " * 30)])
    write(tmp_path, "test", [*corpus(5, 2), ("neutral", "neither one nor other"), ("bad", ""), ("bad", "\u200b\ufeff")])
    write(tmp_path, "valid", corpus(6, 3))
    data = load_texts(Data(format="text_table", path=str(tmp_path), tokens={"kind": "word", "max_length": 10}), 0)
    assert found_in(data) == (
        "1 of 42 train texts are empty and left out",
        "2 of 8 test texts are empty and left out",
        "the class 'neutral' has no example in train, and 0 in validation, 1 in test, that no model can get right",
        "1 of 41 train texts have more than 10 pieces and are cut off there",
    )


def test_folders_of_texts_are_classes(tmp_path):
    for part in ("train", "test"):
        for label, texts in WORDS.items():
            for number, text in enumerate(texts * 3):
                file = tmp_path / part / label / f"{number}.txt"
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
    data = load_texts(Data(format="text_folder", path=str(tmp_path), tokens={"kind": "char"}), 0)
    assert data.preprocessing.classes == ("bad", "good") and len(data.test.y) == 18


def class_folders_of(root, *classes, part="train", count=6):
    for label in classes:
        (root / part / label).mkdir(parents=True)
        for number in range(count):
            (root / part / label / f"{number}.txt").write_text(f"{label} film {number}")


def folders(root, **keys):
    return load_texts(Data(format="text_folder", path=str(root), tokens={"kind": "char"}, **keys), 0)


def test_what_tools_leave_beside_the_texts_is_passed_over_and_endings_may_be_capitals(tmp_path):
    class_folders_of(tmp_path, "bad", "good")
    (tmp_path / "train/bad/._0.txt").write_bytes(b"\x00\x05\xff\xfe")
    (tmp_path / "train/bad/.ipynb_checkpoints").mkdir()
    (tmp_path / "train/bad/.ipynb_checkpoints/0.txt").write_text("bad film 0")
    (tmp_path / "train/bad/folder.txt").mkdir()
    for file in sorted((tmp_path / "train/good").iterdir())[:3]:
        file.rename(file.with_suffix(".TXT"))
    data = folders(tmp_path)
    assert sum(len(part.y) for part in (data.train, data.validation, data.test)) == 12


def test_a_class_folder_without_a_text_is_refused(tmp_path):
    class_folders_of(tmp_path, "bad", "good")
    (tmp_path / "train/neutral").mkdir()
    (tmp_path / "train/neutral/0.md").write_text("so so")
    said = r"class 'neutral' is empty: .*train/neutral holds no file ending in \.txt; add some or remove the folder"
    with pytest.raises(MissingError, match=said):
        folders(tmp_path)
    empty = tmp_path / "train/neutral"
    with pytest.raises(MissingError, match=r"neutral must hold a folder for each class with files ending in \.txt"):
        folders(empty)


def test_the_texts_without_a_label_of_aclimdb_are_left_out_and_counted(tmp_path):
    class_folders_of(tmp_path, "neg", "pos", "unsup")
    class_folders_of(tmp_path, "neg", "pos", part="test")
    data = folders(tmp_path)
    assert data.preprocessing.classes == ("neg", "pos") and len(data.test.y) == 12
    assert data.notes[0] == f"6 train texts in {tmp_path}/train/unsup have no label and are left out"
    assert folders(tmp_path, classes=["pos", "neg"]).preprocessing.classes == ("pos", "neg")
    assert folders(tmp_path, classes=["pos", "neg", "unsup"]).preprocessing.classes == ("pos", "neg", "unsup")
    class_folders_of(tmp_path, "unsup", part="test")
    data = folders(tmp_path)
    assert data.preprocessing.classes == ("neg", "pos", "unsup") and found_in(data) == ()


@pytest.mark.parametrize("kind", ["unigram", "bpe", "word", "char"])
def test_every_kind_of_vocabulary_learns_small_data(tmp_path, kind):
    write(tmp_path, "train", corpus(60, 1))
    data = load_texts(Data(format="text_table", path=str(tmp_path), tokens={"kind": kind, "vocabulary": 40}), 0)
    assert 8 <= data.preprocessing.vocabulary <= 41 or kind == "char"
    assert data.train.x.max() < data.preprocessing.vocabulary


def test_a_labels_column_that_is_empty_is_refused(tmp_path):
    write(tmp_path, "train", [("good", "a b"), ("", "c d")])
    with pytest.raises(MissingError, match=r"train\.tsv, line 3: the label is empty"):
        load_texts(Data(format="text_table", path=str(tmp_path)), 0)


@pytest.mark.parametrize("lower", [True, False])
@pytest.mark.parametrize("kind", ["unigram", "bpe", "word", "char"])
def test_a_text_is_blank_if_no_vocabulary_has_a_piece_for_it(kind, lower):
    model = learnt(["hello world", "a good day"] * 20, Tokens(kind=kind, lower=lower, vocabulary=40))
    texts = [
        "",
        " ",
        "\t\n",
        "\u200b\u200b",
        "\ufeff",
        "\u00ad",
        "\u2581",
        "\x01\x7f",
        "a",
        "\u200ba",
        ".",
        "\u0301",
        "ß",
        "😀",
    ]
    said = blank(texts)
    assert said == [not one for one in numbers(model, texts)] and sum(said) >= 5 and not any(said[-6:])


@pytest.mark.parametrize("empty", ["", "  ", "\u200b\u200b"])
def test_a_sentence_that_holds_nothing_is_refused_by_number(tmp_path, empty):
    write(tmp_path, "train", corpus(60, 1))
    told = load_texts(Data(format="text_table", path=str(tmp_path), tokens={"kind": "word"}), 0).preprocessing
    assert (TextClassification.rows_from(told, ["a great story"]) != 0).any()
    pairs = PairRows((8, 8), told.vocabulary, told.tokenizer, "en", "de")
    assert Translation.rows_from(pairs, ["a great story"]).shape == (1, 16)
    for task, preprocessing in ((TextClassification, told), (Translation, pairs)):
        with pytest.raises(MissingError, match="input 2 is empty, or nothing in it is seen; give a sentence"):
            task.rows_from(preprocessing, ["a great story", empty])
