"""Reading recipes: positions, messages, overrides, paths, cross-key rules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from spiral_cli.errors import RecipeError, UsageError
from spiral_cli.recipe import Recipe, load_recipe
from spiral_cli.recipe.prune import NM, Pressure, Schedule
from spiral_cli.recipe.schema import Export

BASE = "data: {format: digits}\nteacher: {model: lenet300}\n"
Load = Callable[..., Recipe]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Return a function that writes a recipe's text and loads it."""

    def run(text: str | bytes, *overrides: str, name: str = "r.yaml") -> Recipe:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load_recipe(path, overrides)

    return run


def problems(load: Load, text: str | bytes, *overrides: str) -> list[str]:
    """Return the problems of a wrong recipe as ``line:column: message`` (the file's name left out)."""
    with pytest.raises(RecipeError) as caught:
        load(text, *overrides)
    assert caught.value.exit_code == 2
    return [
        f"{one.line}:{one.column}: {one.message}" if one.file.endswith("r.yaml") else str(one)
        for one in caught.value.problems
    ]


def only(load: Load, text: str | bytes, *overrides: str) -> str:
    """Return the one problem of a wrong recipe."""
    found = problems(load, text, *overrides)
    assert len(found) == 1, found
    return found[0]


def test_the_shortest_recipe_has_the_documented_defaults(load: Load) -> None:
    recipe = load(BASE, name="mine.yaml")
    assert recipe.name == "mine"
    assert recipe.teacher.epochs == 15
    assert recipe.student.model == "same"
    assert recipe.prune.schedule == Schedule(kind="geometric", final_sparsity=0.9, rounds=5)
    assert (recipe.distill.temperature, recipe.distill.alpha) == (2.0, 0.5)


@pytest.mark.parametrize(("file", "name"), [("spiral.yaml", "spiral"), ("a b!.yaml", "a-b"), ("-x.y.yaml", "x.y")])
def test_the_name_is_the_files(load: Load, file: str, name: str) -> None:
    assert load(BASE, name=file).name == name


def test_every_problem_is_reported_at_once_in_the_order_of_the_file(load: Load) -> None:
    text = (
        "data: {format: digitz, subset: 0}\n"  # 1: unknown name, out of range
        "teacher:\n"
        "  model: lenet300\n"
        "  model: lenet5\n"  # 4: twice
        "  epoch: 3\n"  # 5: unknown key
        'train: {epochs: "3"}\n'  # 6: wrong type
        "select: smalest\n"  # 7: unknown word
    )
    found = problems(load, text)
    assert [one.split(" ")[0] for one in found] == ["1:16:", "1:32:", "4:3:", "5:3:", "6:17:", "7:9:"]
    assert "received 'digitz'" in found[0]
    assert found[0].endswith("did you mean 'digits'?")
    assert found[1] == "1:32: received 0; allowed: 1 or more"
    assert found[2] == "4:3: received the key 'model' a second time (first in line 3); keep one"
    assert found[3].startswith("5:3: received the unknown key 'epoch'; allowed: model, path, builder")
    assert found[3].endswith("did you mean 'epochs'?")
    assert found[4] == "6:17: received '3'; allowed: a whole number"
    assert found[5] == "7:9: received 'smalest'; allowed: 'smallest', 'best' or 'score'; did you mean 'smallest'?"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            "prune: {granularity: unstructurd}",
            "3:22: received 'unstructurd'; allowed: unstructured, channel, {n: 2, m: 4}",
        ),
        ("prune: {granularity: {n: 2}}", "3:9: the key 'm' is missing"),
        ("prune: {granularity: {block: 4}}", "3:30: received 4; allowed: a list"),
        ("prune: {granularity: {block: [4]}}", "3:30: received 1 entry; allowed: at least 2 entries"),
        ("prune: {granularity: {n: 4, m: 4}}", "3:26: received n: 4 with m: 4; allowed: n below m"),
        ("prune: {schedule: geometric}", "3:19: received 'geometric'; allowed: a mapping of kind, final_sparsity"),
        ("prune: {schedule: []}", "3:19: received 0 entries; allowed: at least 1 entries"),
        ("prune: {schedule: [0.5, 0.5]}", "3:25: received 0.5; allowed: more than the 0.5 before it"),
        ("prune: {schedule: [0.0]}", "3:20: received 0.0; allowed: more than the 0.0 before it"),
        ("prune: {schedule: [0.5, 1]}", "3:25: received 1; allowed: below 1"),
        ("prune: {schedule: {final_sparsity: 0}}", "3:36: received 0; allowed: above 0"),
        ("prune: {schedule: {kind: one_shot, rounds: 3}}", "3:44: received 3; one_shot is one round"),
        (
            "prune: {granularity: {n: 2, m: 4}, schedule: {final_sparsity: 0.4}}",
            "3:63: received 0.4; keeping 2 of 4 is a sparsity of 0.5: give at least that",
        ),
        ("prune: {granularity: {n: 1, m: 4}, schedule: [0.5, 0.7]}", "3:52: received 0.7; keeping 1 of 4"),
        ("prune: {pressure: none}", "3:19: received 'none'; allowed: a mapping of kind, strength or null"),
        ("prune: {allocation: [1]}", "3:21: received a list; allowed: a name, or a mapping of layer pattern"),
        ("prune: {allocation: {dense: 1.5}}", "3:29: received 1.5; allowed: below 1"),
        ("prune: {targets: ['re:(']}", "3:19: received 're:(', which is no regular expression"),
        ("prune: {ignore: [a, b, a]}", "3:24: received 'a' a second time; keep one"),
        ("train: {jit: on}", "3:14: received 'on'; allowed: 'auto', true or false"),
        ("train: {epochs: true}", "3:17: received true; allowed: a whole number"),
        ("train: {learning_rate: .inf}", "3:24: received '.inf'; allowed: a number"),
        ("seed: 010", "3:7: received '010'; allowed: a whole number"),
        (
            "device: gpu:x",
            "3:9: received 'gpu:x'; allowed: auto (the first GPU where there is one), cpu, gpu, gpu:N",
        ),
        ("precision: float16", "3:12: received 'float16'; allowed: 'float32', 'mixed_float16' or 'mixed_bfloat16'"),
        ("guard: {monitor: acuracy}", "3:18: received 'acuracy'; image_classification measures accuracy"),
        ("guard: {monitor: loss, mode: max}", "3:30: received 'max'; loss is better when lower"),
        ("guard: {monitor: f1, mode: min}", "3:28: received 'min'; f1 is better when higher"),
        ("student: {model: lenet300, path: x.keras}", "3:18: received 'model' as well as 'path'; allowed: exactly one"),
        ("student: {model: lenet30}", "3:18: received 'lenet30'; allowed: a model of same,"),
        ("distill: {alpha: 1.5}", "3:18: received 1.5; allowed: 1 or less"),
        ("name: ../x", "3:7: received '../x'; allowed: letters, digits"),
        ("name: ..", "3:7: received '..'; allowed: letters, digits"),
        ("export: [keras, keras]", "3:17: received 'keras' a second time; keep one"),
        ("export: {to: [keras, keras]}", "3:22: received 'keras' a second time; keep one"),
        ("export: [kerass]", "3:10: received 'kerass'; allowed: an exporter of keras"),
        ("export: {to: [kerass]}", "3:15: received 'kerass'; allowed: an exporter of keras"),
        ("export: keras", "3:9: received 'keras'; allowed: a list of files to write, or a mapping with to"),
        ("export: {too: [keras]}", "3:10: received the unknown key 'too'; allowed: to, max_drop, samples, full_"),
        ("export: {max_drop: -1}", "3:20: received -1; allowed: 0 or more"),
        ("export: litert", "3:9: received 'litert'; allowed: a list of files to write, or a mapping with to"),
        ("prune: {granularity: channels}", "3:22: received 'channels'; allowed: unstructured, channel, {n: 2, m: 4}"),
        ("prune: {budget: {flops: 0.4}}", "3:9: received budget, which is about channels; allowed: with granularity"),
        ("prune: {round_to: 8}", "3:19: received round_to, which is about channels; allowed: with granularity"),
        ("prune: {criterion: l2}", "3:20: received 'l2', which ranks whole channels; allowed: granularity: channel"),
        ("prune: {granularity: channel, round_to: 0}", "3:41: received 0; allowed: 1 or more"),
        ("prune: {granularity: channel, allocation: erk}", "3:43: received 'erk' with granularity channel; allowed: "),
        ("prune: {granularity: channel, pressure: {kind: l1}}", "3:48: received 'l1' with granularity channel"),
        ("prune: {granularity: channel, regrow: true}", "3:39: received regrow with granularity channel; what has"),
        (
            "prune: {granularity: channel, weights: rewind}",
            "3:40: received 'rewind' with granularity channel; what has left cannot return; allowed: continue, fresh",
        ),
        ("prune: {weights: fresh}", "3:18: received 'fresh', by whose weights masks cannot be chosen; allowed: "),
        ("prune: {granularity: channel, budget: {flop: 0.4}}", "3:40: received the unknown key 'flop'; allowed: "),
        ("prune: {granularity: channel, budget: {}}", "3:31: received none of flops, parameters, latency; give"),
        ("prune: {granularity: channel, budget: {flops: 40}}", "3:47: received 40; allowed: below 1"),
        (
            "prune: {granularity: channel, budget: {flops: 0.4}, schedule: {final_sparsity: 0.9}}",
            "3:80: received 0.9 with a budget of 0.4 flops, which ends at 0.6: leave one of them out",
        ),
        (
            "prune: {granularity: channel, budget: {flops: 0.4}, allocation: {dense: 0.5}}",
            "3:53: received numbers by layer and a budget for the whole; give one of them",
        ),
        ("plugins: [no_such_module_here]", "3:11: plugin 'no_such_module_here' cannot be imported"),
        ("version: 2", "3:10: received 2; allowed: 1"),
        ("train: !!python/object/apply:os.system [echo]", "3:8: received the tag"),
        ("name: ${SPIRAL_TEST_UNSET}", "3:7: received ${SPIRAL_TEST_UNSET}, but the environment variable"),
        ('name: "a\\0b"', "3:7: received the character 0x0"),
    ],
)
def test_one_message_for_one_mistake(load: Load, lines: str, message: str) -> None:
    found = problems(load, BASE + lines + "\n")
    assert found[0].startswith(message), found
    assert len({one.split(" ")[0] for one in found}) == len(found), "two messages for one place"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("{}", "1:1: received none of format, builder; give exactly one"),
        ("{format: digits, builder: 'a:b'}", "1:33: received 'builder' as well as 'format'; allowed: exactly one"),
        ("{format: idx}", "1:16: received format 'idx' without 'path', which it needs; add data.path"),
        ("{builder: nonsense}", "1:17: received 'nonsense'; allowed: package.module:function"),
        ("{format: digits, validation: 1.0}", "1:36: received 1.0; allowed: below 1"),
        ("{format: digits, validation: true}", "1:36: received true; allowed: a fraction of the train part"),
        ("{format: digits, augment: [croop]}", "1:34: received 'croop'; allowed: an augmentation of"),
        ("{format: digits, augment: [{croop: 1}]}", "1:42: received 'croop'; allowed: an augmentation of"),
        ("{format: digits, augment: [flip, flip]}", "1:40: received 'flip' a second time; keep one"),
        ("{format: digits, augment: [{crop: -3}]}", "1:41: received -3; crop takes a number of 1 or more"),
        ("{format: digits, augment: [crop]}", "1:34: received no value; crop takes a number of 1 or more"),
        ("{format: digits, augment: [{rotate: x}]}", "1:43: received 'x'; rotate takes a number above 0, up to 180"),
        ("{format: digits, augment: [{flip: 3}]}", "1:41: received 3; flip takes no value"),
        ("{format: digits, classes: [a, b, a]}", "1:40: received 'a' a second time; keep one"),
        ("{format: digits, classes: [a]}", "1:33: received one class; allowed: 2 or more, except of boxes"),
        ("{builder: 'a:b', classes: [a]}", "1:33: received one class; allowed: 2 or more, except of boxes"),
        ("{format: digits, classes: []}", "1:33: received 0 entries; allowed: at least 1"),
        ("{format: digits, class_weights: balancd}", "1:39: received 'balancd'; allowed: balanced, or a mapping"),
        ("{format: digits, classes: [cat, dog], class_weights: {cta: 2.0}}", "1:66: received the class 'cta'"),
        ("[1]", "1:7: received a list; allowed: a mapping of format, builder"),
    ],
)
def test_data_rules(load: Load, data: str, message: str) -> None:
    assert only(load, f"data: {data}\nteacher: {{model: lenet300}}\n").startswith(message)


@pytest.mark.parametrize(
    ("teacher", "message"),
    [
        ("{}", "2:1: received none of model, path, builder, application; give exactly one"),
        ("{model: lenet5, path: x}", "2:32: received 'path' as well as 'model'"),
        ("{model: lenet5, epochs: 0}", "2:34: received 0; a built-in model starts untrained"),
        ("{application: MobilNetV2}", "2:24: received 'MobilNetV2'; allowed: a network of keras.applications"),
        ("{model: lenet5, weights: imagenet}", "2:35: received weights without application"),
    ],
)
def test_teacher_rules(load: Load, teacher: str, message: str) -> None:
    assert only(load, f"data: {{format: digits}}\nteacher: {teacher}\n").startswith(message)


def test_mistakes_behind_other_mistakes_are_found_in_one_go(load: Load) -> None:
    text = """data: {format: digits}
teacher: {model: lenet301}
prune:
  schedule: [0.9, 0.5]
  cut: 7
guard: {monitor: acc, max_drop: -1}
export: [keras, keras]
"""
    places = [one.partition(" ")[0] for one in problems(load, text)]
    assert places == ["2:18:", "4:19:", "5:8:", "6:18:", "6:33:", "7:17:"]


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("data: {format: idx, path: 3}\nteacher: {model: mlp}\n", ["1:27:"]),
        ("data: {format: digits}\nteacher: {modl: lenet5}\n", ["2:11:"]),
        ("data: 3\nteacher: {model: mlp}\n", ["1:7:"]),
        ("data: {format: digits}\nteacher: {model: mlp}\nprune: {targets: [a, 3]}\n", ["3:22:"]),
    ],
)
def test_a_mistake_is_not_followed_by_its_consequences(load: Load, text: str, places: list[str]) -> None:
    assert [one.partition(" ")[0] for one in problems(load, text)] == places


def test_a_missing_section_is_named(load: Load) -> None:
    assert problems(load, "seed: 1\n") == ["1:1: the key 'data' is missing", "1:1: the key 'teacher' is missing"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "1:1: received an empty file; `spiral new`"),
        (b"# nothing\n", "1:1: received an empty file"),
        (b"- a\n", "1:1: received a list; allowed: a mapping of version, name"),
        (b"just words\n", "1:1: received 'just words'; allowed: a mapping"),
        (b"data:\n\tformat: digits\n", "2:1: received a tab; allowed: spaces"),
        (b"data: [1\n", "1:7: received 'data: [1', which is not YAML"),
        (b"a: b: c\n", "1:5: received 'a: b: c', which is not YAML"),
        (b"seed: 1\nname: \xff\n", "2:7: received the byte 0xff; a recipe is UTF-8 text"),
        (b"seed: 1\nname: a\x00b\n", "2:8: received the character 0x0"),
        (b"seed: 1\n---\nseed: 2\n", "2:1: received a second document"),
        (b"? [a]\n: 1\n", "1:3: received a list, mapping or alias as a key"),
        (b"seed: *x\n", "1:7: received *x, but no finished value is marked &x"),
        (b"seed: &x [*x]\n", "1:11: received *x, but no finished value is marked &x"),
        (b"data: " + b"[" * 500 + b"]" * 500, "1:27: received values nested deeper than 20 levels"),
        (b"#" * 1_000_001, "1:1: received more than 1000000 bytes"),
        (b"train: {epochs: ${N}}\n", "1:18: received 'train: {epochs: ${N}}', which is not YAML"),
    ],
)
def test_what_is_no_recipe_is_one_problem_with_its_place(load: Load, content: bytes, message: str) -> None:
    assert only(load, content).startswith(message)


def test_every_line_with_a_tab_is_reported(load: Load) -> None:
    assert [one[:4] for one in problems(load, "data:\n\tformat: digits\nteacher:\n\tmodel: lenet5\n")] == [
        "2:1:",
        "4:1:",
    ]


def test_a_yaml_bomb_is_refused_before_it_grows(load: Load) -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 15)
    )
    assert "received more than 10000 values, aliases counted in full" in only(load, bomb)


def test_a_chain_of_aliases_cannot_nest_deep(load: Load) -> None:
    chain = "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 60))
    assert "nested deeper than 20 levels" in only(load, chain)


def test_a_few_aliases_are_fine(load: Load) -> None:
    recipe = load(BASE + "train: {epochs: &n 7}\nstudent: {model: lenet5, epochs: *n}\n")
    assert recipe.student.epochs == recipe.train.epochs == 7


@pytest.mark.parametrize("path", ["none.yaml", ".", "a\0b", "x" * 5000])
def test_a_path_that_cannot_be_read_is_a_usage_error(tmp_path: Path, path: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_recipe(tmp_path / path)
    assert caught.value.exit_code == 2


def test_a_missing_recipe_names_spiral_new(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"there is no recipe .*none\.yaml.*spiral new") as caught:
        load_recipe(tmp_path / "none.yaml")
    assert str(caught.value).count("spiral new") == 1


def test_words_of_yaml_1_1_stay_class_names(load: Load) -> None:
    recipe = load("data: {format: digits, classes: [no, yes, 3, 2024-01-31]}\nteacher: {model: lenet5}\n")
    assert recipe.data.classes == ["no", "yes", "3", "2024-01-31"]


def test_an_empty_section_means_its_defaults_and_null_pressure_means_none(load: Load) -> None:
    recipe = load(BASE + "distill:\nprune:\n  pressure: null\n")
    assert recipe.distill.alpha == 0.5
    assert recipe.prune.pressure is None


def test_a_byte_order_mark_and_windows_line_ends_are_fine(load: Load) -> None:
    assert load(("\ufeff" + BASE).replace("\n", "\r\n")).data.format == "digits"


def test_defaults_that_follow_other_keys(load: Load) -> None:
    loaded = load("data: {format: digits}\nteacher: {path: t.keras}\nstudent: {path: s.keras}\n")
    assert (loaded.teacher.epochs, loaded.student.model) == (0, None)
    one_shot = load(BASE + "prune: {schedule: {kind: one_shot}}\n").prune.schedule
    assert isinstance(one_shot, Schedule)
    assert one_shot.rounds == 1
    pattern = load(BASE + "prune: {granularity: {n: 1, m: 4}, schedule: {rounds: 2}}\n").prune
    assert pattern.granularity == NM(n=1, m=4)
    assert pattern.schedule == Schedule(kind="geometric", final_sparsity=0.75, rounds=2)
    channels = load(BASE + "prune: {granularity: channel, budget: {flops: 0.25}, pressure: {strength: 0.1}}\n").prune
    assert channels.schedule == Schedule(kind="geometric", final_sparsity=0.75, rounds=5)
    assert channels.pressure == Pressure(kind="group_lasso", strength=0.1)
    assert load(BASE + "prune: {granularity: channel}\n").prune.pressure is None


def test_paths_are_relative_to_the_recipe_or_to_where_the_override_was_typed(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    text = "data: {format: idx, path: ../d, validation: v, test: /abs/t}\nteacher: {path: t.keras}\n"
    recipe = load(text, "student.path=s.keras", "data.train=./x")
    assert recipe.data.path == str(tmp_path.parent / "d")
    assert recipe.data.validation == str(tmp_path / "v")
    assert recipe.data.test == "/abs/t"
    assert recipe.teacher.path == str(tmp_path / "t.keras")
    assert recipe.student.path == str(elsewhere / "s.keras")
    assert recipe.data.train == str(elsewhere / "x")


def test_imagenet_is_no_path(load: Load) -> None:
    text = "data: {format: digits}\nteacher: {application: MobileNetV2, weights: imagenet}\n"
    assert load(text).teacher.weights == "imagenet"


def test_the_environment_is_typed(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPIRAL_TEST_EPOCHS", "9")
    text = BASE + 'train: {epochs: "${SPIRAL_TEST_EPOCHS}", learning_rate: "${SPIRAL_TEST_UNSET:-1e-3}"}\n'
    recipe = load(text)
    assert (recipe.train.epochs, recipe.train.learning_rate) == (9, 0.001)


def override_values(recipe: Recipe) -> Sequence[object]:
    return recipe.train.epochs, recipe.distill.features[0].weight, recipe.prune.schedule, recipe.data.classes


def test_overrides_reach_every_kind_of_place(load: Load) -> None:
    recipe = load(
        BASE + "distill: {features: [{teacher: a, student: b}]}\ntrain: {epochs: 2}\n",
        "train.epochs=3",
        "train.epochs=4",
        "distill.features.0.weight=2",
        "prune.schedule=[0.5, 0.75]",
        "data.classes=[no, b=c]",
    )
    assert override_values(recipe) == (4, 2.0, [0.5, 0.75], ["no", "b=c"])


@pytest.mark.parametrize(
    ("task", "tokens", "lower"),
    [
        ("translation", "", False),
        ("translation", ", tokens: {kind: bpe}", False),
        ("translation", ", tokens: {lower: true}", True),
        ("text_classification", "", True),
    ],
)
def test_a_translation_keeps_its_capitals_unless_told_otherwise(
    load: Load, task: str, tokens: str, lower: bool
) -> None:
    kind = "parallel_text" if task == "translation" else "text_table"
    recipe = load(f"task: {task}\ndata: {{format: {kind}, path: .{tokens}}}\nteacher: {{path: a.keras}}\n")
    assert recipe.data.tokens.lower is lower


@pytest.mark.parametrize(
    ("task", "more", "drops"),
    [
        ("translation", "", (1.0, 1.0)),
        ("translation", "guard: {monitor: chrf}\nexport: [keras, litert]\n", (1.0, 1.0)),
        ("translation", "guard: {max_drop: 0.5}\nexport: {max_drop: 0.2}\n", (0.5, 0.2)),
        ("text_classification", "export: [litert]\n", (0.01, 0.01)),
    ],
)
def test_a_point_may_be_lost_of_what_is_measured(load: Load, task: str, more: str, drops: tuple[float, float]) -> None:
    kind = "parallel_text" if task == "translation" else "text_table"
    recipe = load(f"task: {task}\ndata: {{format: {kind}, path: .}}\nteacher: {{path: a.keras}}\n{more}")
    assert (recipe.guard.max_drop, recipe.export.max_drop) == drops


@pytest.mark.parametrize(
    ("task", "source", "key"),
    [
        ("detection", "format: voc", "labels: sparse"),
        ("detection", "format: voc", "class_weights: balanced"),
        ("detection", None, "builder: 'boxes:load'"),
        ("translation", "format: parallel_text", "class_weights: balanced"),
        ("speech_recognition", "format: speech_manifest", "classes: [a, b]"),
    ],
)
def test_a_key_that_a_task_has_no_use_for_is_refused(load: Load, task: str, source: str | None, key: str) -> None:
    data = f"{{{key}}}" if source is None else f"{{{source}, path: ., {key}}}"
    said = only(load, f"task: {task}\ndata: {data}\nteacher: {{path: a.keras}}\n")
    value = len("data: ") + data.index(key) + key.index(": ") + 3
    use = "reads files: use data.format" if "builder" in key else "has no use for it: leave it out"
    assert said.startswith(f"2:{value}: received") and f"{task} {use}" in said


@pytest.mark.parametrize("written", ["[keras]", "{to: [keras]}", "", "{max_drop: 0.01}"])
def test_a_list_of_exports_is_short_for_a_mapping(load: Load, written: str) -> None:
    assert load(BASE + f"export: {written}\n").export == Export(to=["keras"])


def test_an_override_mends_a_wrong_file(load: Load) -> None:
    assert load(BASE + "train: {epochs: many}\n", "train.epochs=1").train.epochs == 1


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("train.epochs=x", "--set train.epochs=x:1:14: received 'x'; allowed: a whole number"),
        ("train.epoch=3", "--set train.epoch=3:1:1: received the unknown key 'epoch'; allowed: epochs"),
        ("train", "--set train:1:1: received 'train'; allowed: key.key=value"),
        ("=3", "--set =3:1:1: received '=3'; allowed: key.key=value"),
        ("a..b=3", "--set a..b=3:1:1: received 'a..b=3'; allowed: key.key=value"),
        ("train.epochs=[", "--set train.epochs=[:1:1"),
        ("select.x=1", "--set select.x=1:1:1: received 'select.x', but select is 'best', which has no keys"),
        ("export.1=keras", "--set export.1=keras:1:1: received '1' for export, a list; allowed: an entry from 0 to 0"),
        ("export.x=keras", "--set export.x=keras:1:1: received 'x' for export, a list"),
        ("export.²=keras", "--set export.²=keras:1:1: received '²' for export, a list"),
        ("distill.alpha=${", "--set distill.alpha=${:1:15: received '${'"),
    ],
)
def test_wrong_overrides(load: Load, assignment: str, message: str) -> None:
    assert only(load, BASE + "select: best\nexport: [keras]\n", assignment).startswith(message)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        (("distribution=tpu", "device=cpu"), "received 'cpu' with distribution tpu; allowed: tpu"),
        (("distribution=mirrored", "device=gpu:1"), "received 'gpu:1' with distribution mirrored; allowed: auto"),
        (("distribution=multi_worker", "device=tpu"), "received 'tpu' with distribution multi_worker"),
    ],
)
def test_a_device_that_does_not_fit_the_distribution_is_said(load: Load, setting: tuple[str, str], said: str) -> None:
    assert said in only(load, BASE, *setting)


def test_what_stands_in_for_a_section_is_blamed_for_nothing_and_stays_as_it_is(load: Load) -> None:
    wanted = ["1:1: the key 'data' is missing", "1:1: the key 'teacher' is missing"]
    for _ in range(2):
        assert problems(load, "task: text_classification\n") == wanted
        assert problems(load, "seed: 1\n") == wanted
