"""Split files: reading, checking and writing them. NumPy only.

`data/` holds meta.json and one folder per dataset; the folder holds `filenames_{split}.txt`,
`label_train.txt`, `query_{split}.txt` and `candidate_{split}.txt` in the layout that the authors
of ASEN++ (Dong et al., IEEE TIP 2021, arXiv 2104.02429) released, and, where there are any,
`values.json` and `regions_{split}.csv`. A dataset may list triplets instead of values:
`triplets_{split}.txt`.


Images, samplers and tf.data pipelines.
"""

from asen_tf.data.boxes import read_regions, write_regions
from asen_tf.data.fingerprint import fingerprint
from asen_tf.data.parsing import (
    check_image_name,
    check_range,
    parse_integers,
    parse_names,
    parse_rows,
    read_bytes,
    read_text,
)
from asen_tf.data.problems import Problem, find_problems, usable_values
from asen_tf.data.reading import read_meta, read_split, read_value_names
from asen_tf.data.records import (
    SPLITS,
    AnnotationError,
    AttributeTable,
    Split,
    dataset_root,
    label,
    roles,
    rows_filename,
)
from asen_tf.data.writing import write_listed_split, write_meta, write_split

__all__ = [
    "AnnotationError",
    "AttributeTable",
    "Problem",
    "SPLITS",
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
]
