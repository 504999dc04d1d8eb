"""Images, samplers and tf.data pipelines."""

from asen_tf.data.dataset import Dataset, SplitImages
from asen_tf.data.images import ImageError, load_image
from asen_tf.data.listed import listed_triplets
from asen_tf.data.pipeline import training_steps
from asen_tf.data.regions import boxes_in_square, true_squares
from asen_tf.data.sampling import LabelIndex, Plan, SamplingError, batch_all, random_triplets

__all__ = [
    "Dataset",
    "ImageError",
    "LabelIndex",
    "Plan",
    "SamplingError",
    "SplitImages",
    "batch_all",
    "boxes_in_square",
    "listed_triplets",
    "load_image",
    "random_triplets",
    "training_steps",
    "true_squares",
]
