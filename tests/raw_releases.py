"""Small samples in the formats in which the datasets were released, drawn by the renderer.

One image in seven is unusual: grey, CMYK, rotated, a single pixel, and so on.
"""

from __future__ import annotations

import csv
import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from odd_images import EVERY, content
from PIL import Image

from asen_tf.data import SPLITS, read_split
from data_prep.garments.values import ATTRIBUTES, VALUES
from data_prep.synthetic import make_dataset


@dataclass(frozen=True)
class Drawn:
    """An image on disk and its values, by attribute."""

    path: Path
    values: dict[str, int]

    @property
    def stem(self) -> str:
        """32 hexadecimal digits, as FashionAI names its images."""
        return hashlib.md5(self.path.name.encode(), usedforsecurity=False).hexdigest()


def draw(folder: Path, *, images: int = 160, size: int = 80) -> list[Drawn]:
    """Draw garments and return them with the values that are visible."""
    make_dataset(folder, images=images, size=size, dataset="Source")
    drawn = []
    for name in SPLITS:
        split = read_split(folder, "Source", name)
        values: dict[int, dict[str, int]] = {}
        for image, attribute, value in split.labels.tolist():
            values.setdefault(image, {})[ATTRIBUTES[attribute]] = value
        drawn += [Drawn(split.path(image), values[image]) for image in sorted(values)]
    return drawn


def fashionai(drawn: list[Drawn], raw: Path) -> None:
    """Two zip files, each with images and Annotations/label.csv; a file per image and attribute."""
    raw.mkdir(parents=True)
    for part in (1, 2):
        lines = []
        with zipfile.ZipFile(raw / f"fashionAI_attributes_train{part}.zip", "w") as archive:
            for number, image in enumerate(drawn):
                if number % 2 != part - 1:
                    continue
                for attribute, value in image.values.items():
                    marks = ["n"] * len(VALUES[attribute])
                    marks[value] = "y"
                    if number % 5 == 0:  # "maybe": says nothing
                        marks[(value + 1) % len(marks)] = "m"
                    name = f"Images/{attribute}_labels/{image.stem}.jpg"
                    archive.writestr(name, content(image.path, number))
                    lines.append(f"{name},{attribute}_labels,{''.join(marks)}\r\n")
            archive.writestr("Annotations/label.csv", "".join(lines))


def darn(drawn: list[Drawn], raw: Path) -> None:
    """The authors' split files, with pic/<id>/<file>.jpg; every ninth image is gone."""
    sizes = (20, 13, 55, 7, 28, 11, 26, 8, 17)
    raw.mkdir(parents=True)
    cut = {"train": drawn[:-60], "valid": drawn[-60:-30], "test": drawn[-30:]}
    for split, images in cut.items():
        names, rows = [], []
        for number, image in enumerate(images):
            names.append(f"pic/{number:05d}/{image.stem[:8]}_{number}.jpg")
            target = raw / names[-1]
            target.parent.mkdir(parents=True, exist_ok=True)
            if number % 9:
                target.write_bytes(content(image.path, drawn.index(image)))
            values = sorted(image.values.values())
            rows += [
                (number, attribute, values[attribute % len(values)] % min(size, 3))
                for attribute, size in enumerate(sizes)
            ]
        (raw / f"filenames_{split}.txt").write_text("".join(f"{name}\r\n" for name in names))
        text = {"train": {"label": rows}}.get(split, {"query": rows[::5], "candidate": rows[1:]})
        for role, part in text.items():
            if role == "candidate":
                part = [row for row in rows if row not in set(rows[::5])]
            lines = "".join(f"{image} {attribute} {value}\r\n" for image, attribute, value in part)
            (raw / f"{role}_{split}.txt").write_text(lines)


def deepfashion(drawn: list[Drawn], raw: Path) -> None:
    """Anno/list_attr_cloth.txt and list_attr_img.txt; images hold several values of a type."""
    kinds = ("skirt_length", "sleeve_length", "pant_length", "neckline_design", "coat_length")
    columns = [
        (kind, f"{attribute.split('_')[0]} {value.lower()}", attribute, index)
        for kind, attribute in enumerate(kinds, start=1)
        for index, value in enumerate(VALUES[attribute])
    ]
    columns = columns[1::2] + columns[::2]  # the types are mixed in the file
    (raw / "Anno").mkdir(parents=True)
    lines = [f"{name:<30} {kind}\n" for kind, name, _, _ in columns]
    head = f"{len(columns)}\nattribute_name  attribute_type\n"
    (raw / "Anno" / "list_attr_cloth.txt").write_text(head + "".join(lines))
    rows = []
    for number, image in enumerate(drawn):
        name = f"img/Printed_Tee {number % 7}".replace(" ", "_") + f"/img_{number:08d}.jpg"
        target = raw / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content(image.path, number))
        marks = [
            1 if image.values.get(attribute) == index else (-1, 0)[index % 2]
            for _, _, attribute, index in columns
        ]
        marks[number % len(marks)] = 1  # another value, of some type
        rows.append(f"{name:<60} {'  '.join(f'{mark:2d}' for mark in marks)}\n")
    head = f"{len(rows)}\nimage_name  attribute_labels\n"
    (raw / "Anno" / "list_attr_img.txt").write_text(head + "".join(rows))


def zappos50k(drawn: list[Drawn], raw: Path) -> None:
    """CSN's triplet lists `anchor far close` over filenames.json, which is plain text."""
    chosen = ("skirt_length", "sleeve_length", "neckline_design", "pant_length")
    conditions = dict(zip(("class", "closure", "gender", "heel"), chosen, strict=True))
    (raw / "tripletlists").mkdir(parents=True)
    names = []
    for number, image in enumerate(drawn):
        names.append(f"Shoes/Sneakers and Athletic/Brand {number % 3}/{number}.1.jpg")
        target = raw / "ut-zap50k-images" / names[-1]
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content(image.path, number))
    (raw / "filenames.json").write_text("".join(f"{name}\n" for name in names))
    rng = np.random.default_rng(0)
    for condition, attribute in conditions.items():
        held = [number for number, image in enumerate(drawn) if attribute in image.values]
        for part in ("train", "val", "test"):
            lines: list[str] = []
            while len(lines) < 40:
                anchor, far, close = (int(number) for number in rng.choice(held, 3, replace=False))
                a, f, c = (drawn[number].values[attribute] for number in (anchor, far, close))
                if a == c != f:
                    lines.append(f"{anchor} {far} {close}\n")
            path = raw / "tripletlists" / f"{condition}_tripletlist_{part}.txt"
            path.write_text("".join(lines))


def catalogue(drawn: list[Drawn], raw: Path) -> None:
    """A shop's own folder and CSV: names with blanks and accents, empty cells, odd formats."""
    raw.mkdir(parents=True)
    with open(raw / "catalogue.csv", "w", encoding="utf-8-sig", newline="") as stream:
        rows = csv.writer(stream, delimiter=";")
        rows.writerow(["image", "Neckline Design", "Sleeve length"])
        for number, image in enumerate(drawn):
            suffix = (".jpg", ".png", ".gif")[number % 3]
            name = f"Frühling {number % 4}/kleid {number}{suffix}"
            (raw / name).parent.mkdir(exist_ok=True)
            with Image.open(image.path) as opened:
                opened.save(raw / name)
            if number % EVERY == EVERY - 1:
                (raw / name).write_bytes(content(image.path, number))
            cells = [
                VALUES[attribute][image.values[attribute]] if attribute in image.values else ""
                for attribute in ("neckline_design", "sleeve_length")
            ]
            rows.writerow([name, *cells])
