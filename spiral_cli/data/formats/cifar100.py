"""CIFAR-100 by keras.datasets."""

from __future__ import annotations

from spiral_cli.data.download import keras_set
from spiral_cli.data.raw import Raw
from spiral_cli.recipe.data import Data
from spiral_cli.registry import datasets

CLASSES = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can
castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin
elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster
man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck
pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk
skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger
tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm
"""


@datasets.register("cifar100")
def cifar100(settings: Data) -> Raw:
    """60,000 photographs of 32x32 colour pixels in 100 classes (Krizhevsky 2009; downloaded by Keras)."""
    return keras_set("cifar100", tuple(CLASSES.split()))
