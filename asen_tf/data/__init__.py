"""Datasets on disk: split files, images, sampling and input pipelines.

`data/` holds meta.json and one folder per dataset; the folder holds `filenames_{split}.txt`,
`label_train.txt`, `query_{split}.txt` and `candidate_{split}.txt` in the layout that the authors
of ASEN++ (Dong et al., IEEE TIP 2021, arXiv 2104.02429) released, and optionally `values.json` and
`regions_{split}.csv`. A dataset may list triplets instead of values: `triplets_{split}.txt`.

What is exported here never loads TensorFlow; `dataset`, `pipeline` and `shards` do.
"""

from asen_tf.data.images import ImageError, font_for, load_image, load_upright
from asen_tf.data.parsing import (
    check_image_name,
    check_range,
    parse_integers,
    parse_names,
    parse_rows,
    read_text,
)
from asen_tf.data.reading import fingerprint, read_meta, read_split, read_value_names
from asen_tf.data.records import (
    SPLITS,
    AnnotationError,
    AttributeTable,
    Split,
    dataset_root,
    images_by_value,
    label,
    roles,
    rows_filename,
)
from asen_tf.data.regions import read_regions
from asen_tf.data.sampling import SamplingError

__all__ = [
    "AnnotationError",
    "AttributeTable",
    "ImageError",
    "SPLITS",
    "SamplingError",
    "Split",
    "check_image_name",
    "check_range",
    "dataset_root",
    "fingerprint",
    "font_for",
    "images_by_value",
    "label",
    "load_image",
    "load_upright",
    "parse_integers",
    "parse_names",
    "parse_rows",
    "read_meta",
    "read_regions",
    "read_split",
    "read_text",
    "read_value_names",
    "roles",
    "rows_filename",
]
