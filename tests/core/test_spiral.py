"""The whole job in one process, on small pictures: every kind of model, label, shape and policy."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import keras
import numpy as np
import pytest
import yaml

from spiral_cli.compress import compress
from spiral_cli.errors import DivergedError, InterruptedRun, RunMismatchError, SpiralError, UsageError
from spiral_cli.events import Event, Notice, silent
from spiral_cli.pruning.prunable import find_prunable
from spiral_cli.recipe import load_recipe
from spiral_cli.run import RunFolder
from spiral_cli.training.control import Control

layers = keras.layers
RNG = np.random.default_rng(0)
PATTERNS = RNG.integers(60, 200, (3, 8, 8, 1))


def pictures(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return noisy copies of three patterns, uint8 (count, 8, 8, 1), and which they are."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, count)
    return np.clip(PATTERNS[y] + rng.normal(0, 40, (count, 8, 8, 1)), 0, 255).astype(np.uint8), y


X, Y = pictures(300, 1)
X_TEST, Y_TEST = pictures(200, 2)


def write_data(folder: Path, y=Y, y_test=Y_TEST, **more: np.ndarray) -> None:
    np.savez(folder / "data.npz", x_train=X, y_train=y, x_test=X_TEST, y_test=y_test, **more)


def write_recipe(folder: Path, **sections) -> Path:
    base = {
        "data": {"format": "npz", "path": "data.npz", "validation": 0.2},
        "teacher": {"model": "mlp", "epochs": 6, "learning_rate": 0.005, "batch_size": 32},
        "prune": {"schedule": {"kind": "geometric", "final_sparsity": 0.8, "rounds": 2}},
        "train": {"epochs": 8, "batch_size": 16},
        "guard": {"max_drop": 0.2},
    }
    for name, section in sections.items():
        base[name] = (
            section if name == "teacher" or not isinstance(section, dict) else {**base.get(name, {}), **section}
        )
    path = folder / "spiral.yaml"
    path.write_text(yaml.safe_dump(base))
    return path


def run(recipe: Path, name: str = "run", listen=silent, control=None, **options) -> tuple[dict, RunFolder]:
    folder = RunFolder(recipe.parent / name)
    report = compress(load_recipe(recipe), folder, listen=listen, control=control or Control(), **options)
    return report, folder


def small(output: str | None = None, width: int = 3, **options) -> keras.Model:
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            layers.Input((8, 8, 1)),
            layers.Conv2D(4, 3, activation="relu", name="conv", **options),
            layers.BatchNormalization(name="norm"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dropout(0.1),
            layers.Dense(16, activation="relu", name="hidden"),
            layers.Dense(width, activation=output, name="last"),
        ]
    )


def fitted(model: keras.Model, y, loss, scale=1 / 255.0) -> keras.Model:
    model.compile(keras.optimizers.Adam(0.005), loss)
    model.fit(X * scale, y, epochs=8, batch_size=32, verbose=0)
    return model


def assert_sound(report: dict, run: RunFolder, sparsity: float = 0.8) -> keras.Model:
    """Check what holds of every finished run and return its student, loaded by Keras alone."""
    assert report == json.loads(run.report.read_text())
    assert report["status"] == "ok"
    selected = report["selected"]
    student = keras.models.load_model(run.student)
    prunable, _ = find_prunable(student)
    total = sum(one.variable.numpy().size for one in prunable)
    kept = sum(np.count_nonzero(one.variable.numpy()) for one in prunable)
    assert selected["density"] == pytest.approx(kept / total)
    assert selected["sparsity"] == pytest.approx(sparsity, abs=0.01)
    assert selected["parameters"] == sum(w.numpy().size for w in student.weights)
    assert selected["nonzero"] == sum(int(np.count_nonzero(w.numpy())) for w in student.weights)
    assert report["monitor"] == "accuracy"
    for row in report["rounds"]:
        assert row["drop"] == pytest.approx(
            report["teacher"]["metrics"]["validation"]["accuracy"] - row["metrics"]["validation"]["accuracy"]
        )
        assert row["accepted"] == (row["drop"] <= report["max_drop"] + 1e-9)
    return student


@pytest.fixture
def folder(tmp_path) -> Path:
    write_data(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "sections",
    [
        {},
        {"prune": {"criterion": "lamp", "schedule": [0.5, 0.8]}},
        {"prune": {"criterion": "taylor", "allocation": "erk", "schedule": {"final_sparsity": 0.8, "rounds": 2}}},
        {"prune": {"criterion": "fisher", "allocation": "uniform", "regrow": True, "schedule": [0.4, 0.8]}},
        {
            "prune": {
                "criterion": "activation",
                "weights": "rewind",
                "schedule": {"kind": "cubic", "final_sparsity": 0.8, "rounds": 3},
            }
        },
        {"prune": {"allocation": "lamp", "pressure": {"kind": "hoyer_square"}, "schedule": [0.8]}},
        {"prune": {"granularity": {"block": [4, 2]}, "pressure": {"kind": "group_lasso"}, "schedule": [0.5, 0.8]}},
        {"distill": {"teacher": "ensemble", "loss": "mse"}, "train": {"epochs": 4}},
        {"train": {"optimizer": "sgd", "rate": "one_cycle", "learning_rate": 0.01, "epochs": 6}},
        {"distill": {"teacher": "previous", "features": [{"teacher": "dense_2", "student": "dense_2"}]}},
        {"distill": {"teacher": "best", "alpha": 1.0}, "train": {"optimizer": "adamw", "weight_decay": 0.01}},
        {"student": {"model": "lenet5", "epochs": 4}, "data": {"image_size": [16, 16]}},
        {"data": {"augment": ["flip", {"crop": 1}], "views": 3, "class_weights": "balanced"}},
    ],
    ids=lambda sections: "-".join(sections) or "default",
)
def test_every_way_ends_with_a_sound_student(folder, sections):
    report, where = run(write_recipe(folder, **sections))
    assert_sound(report, where)
    assert report["selected"]["metrics"]["test"]["accuracy"] > 0.8


def test_two_of_four(folder):
    report, where = run(write_recipe(folder, prune={"granularity": {"n": 2, "m": 4}, "schedule": {"rounds": 2}}))
    student = assert_sound(report, where, sparsity=0.5)
    kernel = student.get_layer("dense_1").kernel.numpy()
    assert ((kernel.reshape(16, 4, -1) != 0).sum(axis=1) <= 2).all()


def test_what_a_round_cut_stays_cut_in_the_next(folder):
    report, where = run(write_recipe(folder, prune={"schedule": [0.3, 0.6, 0.8], "regrow": True}))
    assert_sound(report, where)
    students = [keras.models.load_model(where.round(n).student) for n in (1, 2, 3)]
    for before, after in itertools.pairwise(students):
        for one, other in zip(find_prunable(before)[0], find_prunable(after)[0], strict=True):
            assert not other.variable.numpy()[one.variable.numpy() == 0].any()


def test_a_softmax_teacher_of_ones_own_with_one_hot_labels_and_weights(tmp_path):
    hot = np.eye(3)[Y].astype(np.float32)
    write_data(tmp_path, hot, np.eye(3)[Y_TEST].astype(np.float32), w_train=np.linspace(0.5, 1.5, 300))
    fitted(small("softmax"), hot, "categorical_crossentropy").save(tmp_path / "my.keras")
    report, where = run(write_recipe(tmp_path, teacher={"path": "my.keras"}))
    student = assert_sound(report, where)
    assert student(X_TEST[:5] / 255.0).numpy().sum(axis=1) == pytest.approx(np.ones(5), abs=1e-5)
    reasons = {one["name"]: one["reason"] for one in report["not_pruned"]}
    assert any("normalisation" in reason for reason in reasons.values())


@pytest.mark.parametrize("scale", ["0-255", "-1-1"])
def test_other_scales(folder, scale):
    factor, offset = (1.0, 0.0) if scale == "0-255" else (2 / 255, -1.0)
    model = small()
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(X * factor + offset, Y, epochs=12, batch_size=32, verbose=0)
    model.save(folder / "my.keras")
    report, where = run(
        write_recipe(folder, teacher={"path": "my.keras"}, data={"scale": scale}, guard={"max_drop": 0.3})
    )
    assert_sound(report, where)
    kept = json.loads(where.preprocessing.read_text())
    assert kept["scale"] == scale
    student = keras.models.load_model(where.student)
    decided = student.predict(X_TEST * kept["factor"] + kept["offset"], verbose=0).argmax(-1)
    assert np.mean(decided == Y_TEST) == pytest.approx(report["selected"]["metrics"]["test"]["accuracy"])


def test_a_binary_sigmoid(tmp_path):
    write_data(tmp_path, (Y == 0).astype(np.int64), (Y_TEST == 0).astype(np.int64))
    fitted(small("sigmoid", 1), (Y == 0).astype(np.float32), "binary_crossentropy").save(tmp_path / "my.keras")
    report, where = run(write_recipe(tmp_path, teacher={"path": "my.keras"}))
    assert_sound(report, where)


def test_multi_label(tmp_path):
    labels, test = (np.stack([y == 0, y != 2, y == 1], axis=1).astype(np.float32) for y in (Y, Y_TEST))
    write_data(tmp_path, labels, test)
    fitted(small("sigmoid", 3), labels, "binary_crossentropy").save(tmp_path / "my.keras")
    report, where = run(write_recipe(tmp_path, teacher={"path": "my.keras"}))
    assert_sound(report, where)
    assert "exact_match" in report["selected"]["metrics"]["test"]


def test_frozen_layers_and_inference_batch_norm_stay_as_they_are(folder):
    model = fitted(small(), Y, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.get_layer("conv").trainable = False
    model.get_layer("norm").trainable = False
    model.save(folder / "my.keras")
    report, where = run(write_recipe(folder, teacher={"path": "my.keras"}))
    student = keras.models.load_model(where.student)
    for name in ("conv", "norm"):
        for ours, theirs in zip(student.get_layer(name).weights, model.get_layer(name).weights, strict=True):
            np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
    assert any("frozen" in one["reason"] for one in report["not_pruned"])


@keras.saving.register_keras_serializable("whole_spiral")
class Tied(keras.Model):
    """A subclassed model whose two steps share one layer."""

    def __init__(self, **options):
        super().__init__(**options)
        # Keras stores attributes that sort after "layers" under names that depend on the process.
        self.flat, self.first = layers.Flatten(name="flat"), layers.Dense(16, activation="relu", name="first")
        self.again, self.last = layers.Dense(16, activation="relu", name="shared"), layers.Dense(3, name="last")

    def call(self, x):
        x = self.first(self.flat(x))
        return self.last(self.again(self.again(x)))


def test_a_subclassed_model_with_a_shared_layer(folder):
    keras.utils.set_random_seed(0)
    fitted(Tied(), Y, keras.losses.SparseCategoricalCrossentropy(from_logits=True)).save(folder / "my.keras")
    report, where = run(write_recipe(folder, teacher={"path": "my.keras"}))
    student = assert_sound(report, where)
    assert len(find_prunable(student)[0]) == 3


def test_a_failed_round_is_rolled_back_and_the_budget_is_said_to_be_missed(folder):
    recipe = write_recipe(
        folder,
        prune={"schedule": [0.995, 0.999]},
        guard={"monitor": "loss", "max_drop": 0.0, "patience": 3},
        train={"epochs": 1, "learning_rate": 1e-6},
    )
    report, where = run(recipe)
    rows = report["rounds"]
    assert report["status"] == "budget_not_met"
    assert [(row["round"], row["attempt"], row["accepted"]) for row in rows] == [
        (1, 1, False),
        (1, 2, False),
        (1, 3, False),
    ]
    tried = [row["target_density"] for row in rows]
    assert tried[1:] == pytest.approx([np.sqrt(tried[0]), np.sqrt(np.sqrt(tried[0]))])
    assert report["selected"]["within_budget"] is False
    assert report["selected"]["attempt"] == min(rows, key=lambda row: row["drop"])["attempt"]
    assert report["cost"]["rolled_back_seconds"] == pytest.approx(sum(row["seconds"] for row in rows))
    assert keras.models.load_model(where.student).count_params() == report["selected"]["parameters"]


def test_a_teacher_that_guesses_is_refused_with_what_would_help(folder):
    model = fitted(small(), Y, keras.losses.SparseCategoricalCrossentropy(from_logits=True), scale=1.0)
    turned = keras.Sequential([layers.Input((8, 8, 1)), model])
    turned.save(folder / "my.keras")
    with pytest.raises(UsageError, match=r"hardly better than guessing.*data.scale: 0-255"):
        run(write_recipe(folder, teacher={"path": "my.keras"}))


def test_several_outputs_are_refused_in_a_sentence(folder):
    inputs = keras.Input((8, 8, 1))
    x = layers.Flatten()(inputs)
    keras.Model(inputs, [layers.Dense(3)(x), layers.Dense(2)(x)]).save(folder / "my.keras")
    with pytest.raises(UsageError, match="several outputs"):
        run(write_recipe(folder, teacher={"path": "my.keras"}))


def test_one_output_in_a_dict_is_called_that(folder):
    inputs = keras.Input((8, 8, 1))
    keras.Model(inputs, {"only": layers.Dense(3)(layers.Flatten()(inputs))}).save(folder / "my.keras")
    with pytest.raises(UsageError, match="gives its one output inside a dict"):
        run(write_recipe(folder, teacher={"path": "my.keras"}))


def test_a_model_of_another_precision_is_refused_in_a_sentence(folder):
    inputs = keras.Input((8, 8, 1))
    half = layers.Dense(16, dtype="mixed_float16", name="half")(layers.Flatten()(inputs))
    keras.Model(inputs, layers.Dense(3)(half)).save(folder / "my.keras")
    with pytest.raises(UsageError, match=r"computes in float16 \(layer 'half'\), and precision is float32"):
        run(write_recipe(folder, teacher={"path": "my.keras"}))


def test_another_class_order_is_named_before_what_changes_more(folder):
    fitted(small(), (Y + 1) % 3, keras.losses.SparseCategoricalCrossentropy(True)).save(folder / "my.keras")
    with pytest.raises(UsageError, match=r"wrongly \(with another class order in data.classes its accuracy"):
        run(write_recipe(folder, teacher={"path": "my.keras"}))


def test_a_teacher_of_another_loss_is_refused_unless_the_recipe_says_what_to_do(folder):
    fitted(small("softmax"), np.eye(3)[Y], "mse").save(folder / "my.keras")
    with pytest.raises(UsageError, match=r"loss 'mse'.*train.loss: crossentropy"):
        run(write_recipe(folder, teacher={"path": "my.keras"}))
    report, where = run(write_recipe(folder, teacher={"path": "my.keras"}, train={"loss": "crossentropy"}))
    assert_sound(report, where)


def test_another_recipe_is_refused_with_what_differs_and_a_teacher_can_be_lent(folder):
    run(write_recipe(folder))
    with pytest.raises(RunMismatchError, match=r"distill.alpha: the run has 0.9, the recipe 0.7"):
        run(write_recipe(folder, distill={"alpha": 0.7}))
    with pytest.raises(RunMismatchError, match=r"teacher.epochs"):
        run(write_recipe(folder, teacher={"model": "mlp", "epochs": 5}))
    told: list = []
    recipe = write_recipe(folder, distill={"alpha": 0.7})
    run(recipe, "other", told.append, teacher_from=folder / "run")
    assert not [event for event in told if getattr(event, "stage", "") == "teacher" and hasattr(event, "epoch")]
    assert (folder / "run" / "teacher.keras").read_bytes() == (folder / "other" / "teacher.keras").read_bytes()
    report, _ = run(recipe, fresh=True)
    assert report["status"] == "ok"


def test_selection_alone_may_change_in_a_finished_run(folder):
    first, _ = run(write_recipe(folder))
    told: list = []
    second, _ = run(write_recipe(folder, select="best"), listen=told.append)
    assert [row["nonzero"] for row in first["rounds"]] == [row["nonzero"] for row in second["rounds"]]
    assert not [event for event in told if type(event).__name__ == "EpochDone"]


def test_a_recipe_of_ones_own_in_the_run_folder_is_not_overwritten(folder):
    own = write_recipe(folder).rename(folder / "recipe.yaml")
    before = own.read_text()
    for fresh in (False, True):
        with pytest.raises(UsageError, match="is a file of your own"):
            compress(load_recipe(own), RunFolder(folder), listen=silent, control=Control(), fresh=fresh)
    assert own.read_text() == before


def test_changed_data_are_noticed(folder):
    run(write_recipe(folder))
    write_data(folder, np.roll(Y, 1))
    with pytest.raises(RunMismatchError, match="the data changed"):
        run(write_recipe(folder))


def test_nan_stops_with_round_epoch_and_cause_and_keeps_the_last_good_state(folder):
    recipe = write_recipe(folder, train={"optimizer": "sgd", "learning_rate": 1e30, "epochs": 3})
    with pytest.raises(DivergedError, match=r"loss became (nan|inf) in round 1, try 1, epoch \d of 3.*learning rate"):
        run(recipe)
    assert (folder / "run" / "teacher.keras").is_file()
    assert (folder / "run" / "rounds" / "00" / "student.keras").is_file()


def test_a_time_limit_ends_with_what_was_accepted_and_the_run_can_go_on(folder):
    recipe = write_recipe(folder, prune={"schedule": [0.3, 0.5, 0.8]})
    asked = []

    def listen(event):
        if type(event).__name__ == "RoundDone":
            asked.append(event)

    class Clock(Control):
        @property
        def out_of_time(self) -> bool:
            return len(asked) == 1

    report, _ = run(recipe, listen=listen, control=Clock())
    assert report["status"] == "time_limit"
    assert len(report["rounds"]) == 1
    assert report["selected"]["round"] == 1
    report, where = run(recipe)
    assert len(report["rounds"]) == 3
    assert_sound(report, where)


def test_an_interruption_leaves_a_run_that_goes_on(folder):
    recipe, events = write_recipe(folder), []
    with pytest.raises(InterruptedRun):
        run(recipe, listen=events.append, control=Control(interrupted=lambda: len(events) > 12))
    told: list = []
    report, where = run(recipe, listen=told.append)
    assert_sound(report, where)
    assert not [event for event in told if isinstance(event, Notice) and event.level == "warning"]


def test_a_full_disk_loses_nothing(folder, monkeypatch):
    import errno

    from spiral_cli.training import checkpoint

    recipe, writes = write_recipe(folder), []
    real = checkpoint.write_bytes

    def failing(path, content):
        writes.append(path)
        if len(writes) == 9:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(path, content)

    monkeypatch.setattr(checkpoint, "write_bytes", failing)
    with pytest.raises((SpiralError, OSError)):
        run(recipe)
    monkeypatch.setattr(checkpoint, "write_bytes", real)
    report, where = run(recipe)
    assert_sound(report, where)


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        (
            {"guard": {"monitor": "exact_match"}},
            "'exact_match' is not measured for these labels",
        ),
        ({"prune": {"allocation": {"dense_9": 0.5}}}, "'dense_9' matches no layer"),
        ({"prune": {"targets": ["dens_1"]}}, "did you mean 'dense_1'"),
        ({"prune": {"ignore": ["*"]}}, "nothing in the student can be pruned"),
        (
            {
                "distill": {
                    "features": [{"teacher": "dense_1", "student": "dense_2"}, {"teacher": "x", "student": "dense_2"}]
                }
            },
            "the teacher has no layer 'x'",
        ),
        (
            {"train": {"jit": True}, "teacher": {"model": "lenet5", "epochs": 1}, "data": {"image_size": [16, 16]}},
            "XLA cannot compile",
        ),
    ],
    ids=["monitor", "allocation", "targets", "ignore", "features", "jit"],
)
def test_what_cannot_be_is_refused_in_a_sentence(folder, sections, said):
    heard: list[Event] = []
    with pytest.raises(UsageError, match=said):
        run(write_recipe(folder, **sections), listen=heard.append)
    if "XLA" not in said:  # which is known only once a step is compiled
        assert heard == [], "the teacher trained first"


def test_a_student_that_does_not_fit_is_refused_before_the_teacher_trains(folder):
    heard: list[Event] = []
    small(width=4).save(folder / "other.keras")
    with pytest.raises(UsageError, match="has 4 outputs, the data 3 classes"):
        run(write_recipe(folder, student={"path": "other.keras"}), listen=heard.append)
    assert heard == []


def test_a_spiral_that_ends_before_its_schedule_says_so(folder):
    heard: list[Event] = []
    recipe = write_recipe(folder, prune={"schedule": [0.5, 0.9995]}, guard={"patience": 1})
    report, _ = run(recipe, listen=heard.append)
    assert [row["accepted"] for row in report["rounds"]] == [True, False]
    assert report["status"] == "ok" and report["selected"]["round"] == 1
    said = [event.text for event in heard if isinstance(event, Notice)]
    assert said == [one for one in said if one.startswith("the schedule's sparsity of 0.9995 cost more than max_drop")]
    assert len(said) == 1 and "ends at 0.5" in said[0]


def test_numbers_of_layers_that_end_elsewhere_than_the_schedule_are_pointed_out(folder):
    heard: list[Event] = []
    report, _ = run(write_recipe(folder, prune={"allocation": {"dense_1": 0.5, "dense_2": 0.5}}), listen=heard.append)
    said = [event.text for event in heard if isinstance(event, Notice)]
    assert len(said) == 1
    assert f"end at a sparsity of {report['selected']['sparsity']:.4f} in all; the schedule's 0.8" in said[0]


def test_a_stage_that_another_recipe_began_is_not_continued(folder):
    events: list = []
    with pytest.raises(InterruptedRun):
        run(write_recipe(folder), listen=events.append, control=Control(interrupted=lambda: len(events) > 4))
    assert (folder / "run" / "teacher.spiral").exists()
    recipe = write_recipe(folder, teacher={"model": "mlp", "epochs": 4, "learning_rate": 0.01, "batch_size": 32})
    changed, _ = run(recipe)
    whole, _ = run(recipe, "whole")
    assert changed["teacher"] == whole["teacher"]


def test_a_failed_student_that_is_damaged_is_made_again(folder):
    recipe = write_recipe(folder, guard={"monitor": "loss", "max_drop": 0.0, "patience": 1}, train={"epochs": 1})
    first, where = run(recipe)
    where.report.unlink()
    where.round(1).failed(1).write_bytes(b"no model")
    again, _ = run(recipe)
    assert again["selected"]["metrics"] == first["selected"]["metrics"]
