"""Names of models and layers: those that Keras counts up over the life of a process, and those TensorFlow refuses."""

from __future__ import annotations

import re

import keras

# Of these Keras makes scopes (tf.name_scope), and of scopes TensorFlow makes names of a graph's nodes.
IN_A_SCOPE = re.compile(r"[A-Za-z0-9_./>-]*")
FIRST = re.compile(r"[A-Za-z0-9.]")


def fresh_names() -> None:
    """Let Keras count anew, so that names do not depend on what was built before.

    `keras.utils.clear_session` would do it too, but throws away the graph that the scope of a
    TensorFlow strategy hangs on.
    """
    from keras.src.utils import naming

    naming.reset_uids()


def scoped(model: keras.Model) -> keras.Model:
    """Return ``model`` under a name that TensorFlow takes; Keras alone trains one called "my model", too."""
    if not (FIRST.match(model.name) and IN_A_SCOPE.fullmatch(model.name)):
        name = re.sub(r"[^A-Za-z0-9_.-]", "_", model.name)
        model.name = name if FIRST.match(name) else f"model{name}"
    return model


def untraceable(model: keras.Model) -> str | None:
    """Return which layers have names that neither Keras nor TensorFlow can run; None where there are none."""
    names = [layer.name for layer in model._flatten_layers(include_self=False)]
    wrong = [f"'{name}'" for name in names if not IN_A_SCOPE.fullmatch(name)]
    if not wrong:
        return None
    return f"TensorFlow takes only letters from a to z, digits and . _ - in names of layers; rename {', '.join(wrong)}"
