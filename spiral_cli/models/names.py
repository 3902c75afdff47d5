"""The names that Keras gives what a person did not name: they count up over the life of a process."""

from __future__ import annotations


def fresh_names() -> None:
    """Let Keras count anew, so that names do not depend on what was built before.

    `keras.utils.clear_session` would do it too, but throws away the graph that the scope of a
    TensorFlow strategy hangs on.
    """
    from keras.src.utils import naming

    naming.reset_uids()
