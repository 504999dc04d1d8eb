"""Split files: reading, checking and writing them. NumPy only.

`data/` holds meta.json and one folder per dataset; the folder holds `filenames_{split}.txt`,
`label_train.txt`, `query_{split}.txt` and `candidate_{split}.txt` in the layout that the authors
of ASEN++ (Dong et al., IEEE TIP 2021, arXiv 2104.02429) released, and, where there are any,
`values.json` and `regions_{split}.csv`.
"""

from asen_tf.annotations.chance import random_maps
from asen_tf.annotations.fingerprint import fingerprint
from asen_tf.annotations.problems import Problem, find_problems, usable_values
from asen_tf.annotations.reading import read_meta, read_split, read_value_names
from asen_tf.annotations.records import SPLITS, AnnotationError, AttributeTable, Split
from asen_tf.annotations.regions import read_regions, write_regions
from asen_tf.annotations.writing import write_meta, write_split, write_text

__all__ = [
    "SPLITS",
    "AnnotationError",
    "AttributeTable",
    "Problem",
    "Split",
    "find_problems",
    "fingerprint",
    "random_maps",
    "read_meta",
    "read_regions",
    "read_split",
    "read_value_names",
    "usable_values",
    "write_meta",
    "write_regions",
    "write_split",
    "write_text",
]
