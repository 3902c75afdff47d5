"""What cannot be is refused in a sentence, as early as can be."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from small_runs import Y_TEST, Y, assert_sound, fitted, layers, run, small, write_data, write_recipe

from spiral_cli import fitting
from spiral_cli.errors import DivergedError, UsageError
from spiral_cli.events import Event
from spiral_cli.planning.plan import plan
from spiral_cli.recipe import load_recipe
from spiral_cli.run import RunFolder
from spiral_cli.training.control import Control


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
    half = layers.Dense(16, dtype="bfloat16", name="half")(layers.Flatten()(inputs))
    keras.Model(inputs, layers.Dense(3)(half)).save(folder / "my.keras")
    with pytest.raises(UsageError, match=r"computes in bfloat16 \(layer 'half'\); spiral takes models with float32 w"):
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
        ({"prune": {"granularity": {"block": [9999, 9999]}}}, "at most a sparsity of 0 can be reached"),
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
    ids=["monitor", "allocation", "targets", "ignore", "blocks", "features", "jit"],
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


OWN = """
from functools import partial

import keras
from keras import layers


class Cut(keras.regularizers.Regularizer):
    def __call__(self, x):
        return 0.1 * keras.ops.sum(x)

    def get_config(self):
        return {}


MIDDLE = {
    "layer": lambda: layers.Lambda(lambda x: 2 * x),
    "nested": lambda: keras.Sequential([layers.Dense(8), layers.Lambda(lambda x: 2 * x)]),
    "activation": lambda: layers.Activation(lambda x: 2 * x),
    "regularizer": lambda: layers.Dense(8, kernel_regularizer=Cut()),
}


def built(middle):
    inputs = keras.Input((8, 8, 1))
    x = middle()(layers.Dense(16, activation="relu")(layers.Flatten()(inputs)))
    return keras.Model(inputs, layers.Dense(3)(layers.Dense(9)(x)))


layer, nested, activation, regularizer = (partial(built, middle) for middle in MIDDLE.values())
"""


@pytest.mark.parametrize("granularity", ["channel", "unstructured"])
@pytest.mark.parametrize(
    ("builder", "said"),
    [
        ("layer", "holds a Lambda layer, whose code Keras' safe mode does not run"),
        ("nested", "holds a Lambda layer"),
        ("activation", "holds a lambda, whose code .* as a named function"),
        ("regularizer", "needs 'Cut', which is not known; put it under"),
    ],
)
def test_a_model_that_could_not_be_loaded_again_is_refused_before_it_trains(folder, builder, said, granularity):
    (folder / "own_code.py").write_text(OWN)
    recipe = write_recipe(
        folder, teacher={"builder": f"own_code:{builder}", "epochs": 1}, prune={"granularity": granularity}
    )
    heard: list[Event] = []
    with pytest.raises(UsageError, match=rf"the teacher .* could not be loaded again once it is stored: it {said}"):
        run(recipe, listen=heard.append)
    assert heard == [], "the teacher trained first"
    with pytest.raises(UsageError, match=said):
        plan(load_recipe(recipe), RunFolder(folder / "run"), control=Control(), trial=False)


def test_a_student_of_own_code_is_looked_at_too(folder):
    (folder / "own_code.py").write_text(OWN)
    with pytest.raises(UsageError, match=r"the student .* could not be loaded again"):
        run(write_recipe(folder, student={"builder": "own_code:layer"}))


def test_what_cannot_be_made_smaller_is_known_before_the_teacher_trains(folder, monkeypatch):
    def refuse(*_):
        raise UsageError("it cannot be made smaller")

    monkeypatch.setattr(fitting, "remove", refuse)
    heard: list[Event] = []
    with pytest.raises(UsageError, match="cannot be made smaller"):
        run(write_recipe(folder, prune={"granularity": "channel"}), listen=heard.append)
    assert heard == []


def test_nan_stops_with_round_epoch_and_cause_and_keeps_the_last_good_state(folder):
    recipe = write_recipe(folder, train={"optimizer": "sgd", "learning_rate": 1e30, "epochs": 3})
    with pytest.raises(DivergedError, match=r"loss became (nan|inf) in round 1, try 1, epoch \d of 3.*learning rate"):
        run(recipe)
    assert (folder / "run" / "teacher.keras").is_file()
    assert (folder / "run" / "rounds" / "00" / "student.keras").is_file()


def test_weights_that_diverge_in_the_last_step_are_seen(folder):
    """The loss of a step is that before its update: the last update shows in the weights alone."""
    recipe = write_recipe(
        folder,
        train={"optimizer": "sgd", "learning_rate": 1e38, "epochs": 1, "batch_size": 240},
        prune={"schedule": [0.5]},
    )
    with pytest.raises(DivergedError, match=r"round 1, try 1.*lower the learning rate"):
        run(recipe)


def test_a_teacher_that_gives_nan_is_called_that(folder):
    model = small()
    model.get_layer("last").bias.assign([0.0, np.nan, 0.0])
    model.save(folder / "my.keras")
    with pytest.raises(DivergedError, match=r"gives NaN or infinity for 60 of 60 examples"):
        run(write_recipe(folder, teacher={"path": "my.keras"}))


@pytest.mark.parametrize(
    ("activation", "stated", "said"),
    [
        ("softmax", "logits", "ends in softmax or sigmoid; leave the key out, or say probabilities"),
        (None, "probabilities", r"gives values from -\d.* to .*; leave the key out, or say logits"),
    ],
)
def test_a_stated_output_that_is_plainly_wrong_is_refused(folder, activation, stated, said):
    small(activation).save(folder / "my.keras")
    with pytest.raises(UsageError, match=said):
        run(write_recipe(folder, teacher={"path": "my.keras", "output": stated}))


def test_an_untrained_teacher_is_not_said_to_be_good_with_another_class_order(folder):
    small().save(folder / "my.keras")
    with pytest.raises(UsageError, match=r"hardly better than guessing.*too few teacher.epochs"):
        run(write_recipe(folder, teacher={"path": "my.keras"}))


def test_a_student_with_other_outputs_than_the_teachers_is_refused(tmp_path):
    write_data(tmp_path, (Y == 0).astype(np.int64), (Y_TEST == 0).astype(np.int64))
    fitted(small("sigmoid", 1), (Y == 0).astype(np.float32), "binary_crossentropy").save(tmp_path / "my.keras")
    with pytest.raises(UsageError, match="one has a single output and the other one for each class"):
        run(write_recipe(tmp_path, teacher={"path": "my.keras"}, student={"model": "mlp"}))
    stated = write_recipe(tmp_path, teacher={"path": "my.keras"}, student={"model": "mlp"}, data={"labels": "binary"})
    report, where = run(stated)
    assert_sound(report, where)


def test_several_inputs_are_called_that(folder):
    inputs = [keras.Input((8, 8, 1)), keras.Input((8, 8, 1))]
    outputs = layers.Dense(3)(layers.Flatten()(layers.Add()(inputs)))
    keras.Model(inputs, outputs).save(folder / "my.keras")
    with pytest.raises(UsageError, match="has several inputs; spiral feeds one image"):
        run(write_recipe(folder, teacher={"path": "my.keras"}))
