"""How `spiral benchmark` is asked to measure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Asked:
    """The flags of `spiral benchmark`.

    Attributes:
        batch: examples of the larger batch, beside single ones.
        threads: each runtime computes with.
        rounds: turns that every file has.
        open_length: stands for lengths that a model leaves open, such as that of a text.
        plugins: modules with the files' own classes; those of a run's recipe are known without.
    """

    batch: int = 32
    threads: int = 1
    rounds: int = 20
    open_length: int = 64
    plugins: tuple[str, ...] = ()
