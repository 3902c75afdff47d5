"""The recipe that `spiral new` writes: short, commented, and right as it stands."""

from __future__ import annotations

SCHEMA_FILE = "spiral.schema.json"

STARTER = f"""\
# yaml-language-server: $schema={SCHEMA_FILE}
# Run it:  spiral compress spiral.yaml
# Names that may stand here: spiral ls.  All keys, explained: README.md.
# For completion in an editor (first line):  spiral schema > {SCHEMA_FILE}

data:
  format: digits            # 1,797 real 8x8 digits that come with scikit-learn; no download
  # format: image_folder    # your own: one folder of images a class
  # path: my_images         # relative to this file
  # image_size: [32, 32]

teacher:
  model: lenet300           # a dense model trained first, and the measure of what follows
  epochs: 20
  # path: my_model.keras    # or your own trained Keras model, instead of model and epochs

prune:
  criterion: magnitude      # which weights are least important
  schedule:
    kind: geometric         # every round keeps the same part of what is left
    final_sparsity: 0.95    # 19 of 20 weights are gone at the end
    rounds: 4

distill:
  temperature: 2.0          # how soft the teacher's answers are
  alpha: 0.5                # their weight in the loss; the labels have the rest

train:
  epochs: 15                # of each round
  batch_size: 64

guard:
  max_drop: 0.02            # a round that loses more accuracy than this is rolled back

export: [keras]             # beside it, each measured in its own runtime: spiral ls exporters
"""


def starter() -> str:
    """Return the starter recipe's text."""
    return STARTER
