"""Turn an authors' checkpoint into a model: `python -m asen_tf.weights CHECKPOINT OUT.keras`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from asen_tf.backbones.checkpoints import CheckpointError
from asen_tf.config import ConfigError
from asen_tf.data import AnnotationError, read_meta
from asen_tf.files import replacing
from asen_tf.models import build_model
from asen_tf.presets import preset
from asen_tf.weights.authors import load_authors_checkpoint


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return 0 when the model is written, else 1."""
    parser = argparse.ArgumentParser(
        prog="python -m asen_tf.weights",
        description="Put the weights of an authors' checkpoint into a model of this package.",
    )
    parser.add_argument("checkpoint", type=Path, help="the authors' .pth.tar file")
    parser.add_argument("out", type=Path, help="the .keras file to write")
    parser.add_argument("--method", default="asen_pp", help="asen_pp, asen, asen_v2 or csn")
    parser.add_argument("--dataset", default="FashionAI", help="the dataset's name in meta.json")
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of meta.json")
    parser.add_argument(
        "--attributes", nargs="+", help="without a meta.json: the names, in the order of training"
    )
    options = parser.parse_args(arguments)
    if options.out.suffix != ".keras":
        parser.error(f"the model's file must end in .keras; got {options.out}")
    try:
        attributes = options.attributes or _attributes(options.data, options.dataset)
        config = preset("paper").override(method=options.method, dataset=options.dataset)
        model = build_model(config, attributes)
        unused = load_authors_checkpoint(options.checkpoint, model)
    except (AnnotationError, CheckpointError, ConfigError, TypeError) as error:
        print(error, file=sys.stderr)
        return 1
    with replacing(options.out) as temporary:
        model.save(temporary)
    print(f"{options.out}: {options.method}, {', '.join(attributes)}")
    if unused:
        print(f"not used by the method ({len(unused)} arrays): {', '.join(unused)}")
    return 0


def _attributes(data_dir: Path, dataset: str) -> tuple[str, ...]:
    if not (data_dir / "meta.json").exists():
        raise AnnotationError(
            "the model needs its attributes' names, which meta.json has",
            path=data_dir / "meta.json",
            got="no such file",
            remedy="give its folder by --data, or the names in their order by --attributes",
        )
    return read_meta(data_dir, dataset).names


if __name__ == "__main__":
    sys.exit(main())
