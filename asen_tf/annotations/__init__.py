"""Split files: reading, checking and writing them. NumPy only.

`data/` holds meta.json and one folder per dataset; the folder holds `filenames_{split}.txt`,
`label_train.txt`, `query_{split}.txt` and `candidate_{split}.txt` in the layout that the authors
of ASEN++ (Dong et al., IEEE TIP 2021, arXiv 2104.02429) released, and, where there are any,
`values.json` and `regions_{split}.csv`. A dataset may list triplets instead of values:
`triplets_{split}.txt`.
"""

from asen_tf.annotations.chance import random_maps
from asen_tf.annotations.fingerprint import fingerprint
from asen_tf.annotations.integers import check_range, parse_integers
from asen_tf.annotations.names import label
from asen_tf.annotations.parsing import (
    check_image_name,
    parse_names,
    parse_rows,
    read_bytes,
    read_text,
)
from asen_tf.annotations.problems import Problem, find_problems, usable_values
from asen_tf.annotations.reading import read_meta, read_split, read_value_names
from asen_tf.annotations.records import (
    SPLITS,
    AnnotationError,
    AttributeTable,
    Split,
    dataset_root,
    roles,
    rows_filename,
)
from asen_tf.annotations.regions import read_regions, write_regions
from asen_tf.annotations.writing import (
    write_listed_split,
    write_meta,
    write_split,
)
from asen_tf.files import write_text

__all__ = [
    "SPLITS",
    "AnnotationError",
    "AttributeTable",
    "Problem",
    "Split",
    "check_image_name",
    "check_range",
    "dataset_root",
    "find_problems",
    "fingerprint",
    "label",
    "parse_integers",
    "parse_names",
    "parse_rows",
    "random_maps",
    "read_bytes",
    "read_meta",
    "read_regions",
    "read_split",
    "read_text",
    "read_value_names",
    "roles",
    "rows_filename",
    "usable_values",
    "write_listed_split",
    "write_meta",
    "write_regions",
    "write_split",
    "write_text",
]
