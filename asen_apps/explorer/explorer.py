"""All that the explorer can do, without a widget: choose, search, show what a model attends to."""

from __future__ import annotations

import atexit
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from asen_apps.explorer import ExplorerError
from asen_apps.explorer.answer import Answer, Neighbour, QueryAttention
from asen_apps.explorer.gallery import (
    CatalogueGallery,
    Gallery,
    Query,
    check_upload,
    decode_upload,
)
from asen_apps.explorer.indexes import Indexes, ProgressCallback, ReportingEmbedder
from asen_apps.explorer.methods import (
    Method,
    default_method,
    method_of,
    methods_of,
    split_by_dataset,
)
from asen_apps.search import AttributeIndex, SearchIndexError
from asen_apps.search.frozen import open_embedder
from asen_apps.search.items import matching, read_conditions
from asen_apps.search.storage import index_notes, model_of, run_settings
from asen_study.runs import DRAWN, Run
from asen_tf.embedder import EmbedderError
from asen_tf.models import SimilarityModel
from asen_tf.models.base import attribute_index

_LISTED = 5  # numbers of unreadable images in a sentence


class Explorer:
    """Searches the test images of a study with its methods; models load when first used.

    Args:
        place: the study's directory, `results/runs/<study>`.
        data_dir: the directory of meta.json and the datasets.
        count: how many images a search returns.

    Attributes:
        methods: what can be chosen, in the order of the tables; all of one dataset.
        left_out: methods of other datasets, which have other attributes and images.
        photographs: whether images may be photographs where the model was trained on drawings.

    Raises:
        ExplorerError: no such study, no finished method, or no data.

    Example:
        >>> explorer = Explorer("results/runs/quick", "data")
        >>> query = explorer.test_image(12)
        >>> answer = explorer.search(explorer.methods[-1], query, {"neckline_design": 1.0})
    """

    photographs = False

    def __init__(self, place: Path | str, data_dir: Path | str, *, count: int = 12) -> None:
        self.place, self.data_dir, self.count = Path(place), Path(data_dir), count
        self.methods, self.left_out = split_by_dataset(methods_of(self.place))
        self._indexes = Indexes(self.place, self.data_dir)
        self._embedders: dict[str, ReportingEmbedder] = {}
        self.gallery = Gallery(self.data_dir, self.first.dataset)

    @property
    def first(self) -> Method:
        """The method that the page begins with."""
        return default_method(self.methods)

    def picture(self, image: int, fit: str | None = None) -> str:
        """Return a test image as `data:` URI; "" where its file cannot be read.

        Args:
            image: its file index in the test split.
            fit: how it becomes a square; as for the first method when None.
        """
        try:
            return self.gallery.picture(image, fit or self.first.fit)
        except ExplorerError:
            return ""

    def embedder(self, method: Method) -> ReportingEmbedder:
        """Return a method's model, loaded once."""
        if method.name not in self._embedders:
            path = method.run.path / "model.keras"
            self._embedders[method.name] = open_embedder(path, ReportingEmbedder)
        return self._embedders[method.name]

    def ready(self, method: Method, attributes: Mapping[str, float]) -> bool:
        """Return whether a search answers at once, without embedding the gallery first."""
        return self._indexes.ready(method, attributes)

    def first_question(self) -> tuple[tuple[str, ...], Query]:
        """Return attributes and a query for the page to begin with.

        They are the two most telling attributes, among the pairs for which enough images are
        labelled: those that the first method ranks best, by its own MAP beyond chance.
        """
        gallery = self.gallery
        known = self._telling()
        pairs = list(combinations(gallery.attributes, 2)) or [gallery.attributes[:1]]

        def merit(pair: tuple[str, ...]) -> tuple[int, float]:
            enough = min(len(gallery.labelled(pair)), 4 * self.count)
            return enough, sum(known.get(name, 0.0) for name in pair)

        chosen = max(pairs, key=merit)
        images = [gallery.first_image(chosen), *gallery.labelled(chosen), *gallery.ids]
        readable = (image for image in images if self.picture(image))
        return chosen, self.test_image(next(readable, images[0]))

    def _telling(self) -> Mapping[str, float]:
        """Return attribute -> how much of what chance leaves open the first method gets right."""
        run = Run(self.first.run.path)
        if not run.has("map"):
            return {}
        found = run.table("map").groupby("attribute")["map"].max()
        chances = {name: self.gallery.chance(name) for name in self.gallery.attributes}
        return {
            name: (found[name] / 100 - chance) / (1 - chance)
            for name, chance in chances.items()
            if name in found and chance < 1
        }

    def test_image(self, image: int) -> Query:
        """Return an image of the gallery as a query."""
        return Query(self.gallery.title(image), image)

    def upload(self, name: str, content: bytes, size: int | None = None) -> Query:
        """Return an uploaded file as a query; arguments and errors as for `check_upload`.

        A damaged file is refused here, not at the search.
        """
        check_upload(name, content, size)
        decode_upload(name, content, 64)
        return Query(f"your picture {name}", None, content)

    def search(
        self,
        method: Method,
        query: Query,
        weights: Mapping[str, float],
        *,
        labelled_only: bool = True,
        where: Sequence[str] = (),
        count: int | None = None,
        on_progress: ProgressCallback | None = None,
    ) -> Answer:
        """Find the most similar test images; the query itself is never among them.

        Args:
            method: one of `methods`.
            query: from `test_image` or `upload`.
            weights: positive weight by attribute; they are scaled to the sum 1.
            labelled_only: search only images that are labelled for every chosen attribute, if
                there are any: only these can be marked right or wrong.
            where: conditions on the metadata of a catalogue, such as `price<50`.
            count: how many images to return; `self.count` when None.
            on_progress: called while the gallery is embedded.

        Raises:
            SearchIndexError: a condition is invalid.
            ExplorerError: no attribute is chosen, the query cannot be used, or none of the test
                images can be read. If only some cannot, the answer's notes say so.
        """
        chosen = {name: float(weight) for name, weight in weights.items() if weight > 0}
        if not chosen:
            raise ExplorerError("Choose at least one attribute, with a weight above zero.")
        gallery, embedder = self.gallery, self.embedder(method)
        names = sorted(chosen, key=lambda name: attribute_index(embedder.attribute_names, name))
        shares = {name: chosen[name] / sum(chosen.values()) for name in names}
        index = self._index(method, embedder, names, on_progress)
        count = count or self.count
        fit, whole = embedder.model.settings.fit, embedder.model.settings.preprocessing == "release"
        pixels = self._pixels(query, embedder.model.source_size, fit)
        seen = self._pixels(query, None, fit) if whole else pixels  # as the index has its images
        searched, filters, notes = self._candidates(index, query, names, labelled_only, where)
        if self.drawn and (query.image is None or self.photographs):
            what = "your picture" if query.image is None else "these pictures"
            notes.append(
                f"{method.label} was trained on drawings and has never seen a photograph: what it "
                f"says of {what} means little."
            )
        hits = index.search(seen, shares, k=count + 1, filters=filters)
        neighbours = [
            Neighbour(
                image=hit.id,
                score=hit.score,
                parts={name: hit.parts[name] for name in names},
                verdicts={name: gallery.compare(query.image, hit.id, name) for name in names},
                reached_by=hit.reached_by,
                title=gallery.title(hit.id),
                details=gallery.details(hit.id),
            )
            for hit in hits
            if hit.id != query.image
        ]
        return Answer(
            method=method.label,
            query=query,
            pixels=pixels,
            fit=fit,
            attention=_attend(embedder.model, gallery, query, seen, shares),
            neighbours=tuple(neighbours[:count]),
            searched=searched,
            notes=tuple(notes),
            noun=gallery.noun,
        )

    @property
    def drawn(self) -> bool:
        """Whether the first method was trained on the built-in drawings."""
        return self.first.dataset in DRAWN

    def _index(
        self,
        method: Method,
        embedder: ReportingEmbedder,
        names: Sequence[str],
        on_progress: ProgressCallback | None,
    ) -> AttributeIndex:
        """Return the index of a method, with some attributes embedded."""
        return self._indexes.get(method, embedder, self.gallery, names, on_progress)

    def _candidates(
        self,
        index: AttributeIndex,
        query: Query,
        names: list[str],
        labelled_only: bool,
        where: Sequence[str],
    ) -> tuple[int, Mapping[str, Any] | None, list[str]]:
        """Choose the images of an index that are compared with a query.

        Returns:
            How many they are without the query; filters that find them in the index, None when all
            of it is compared; and notes for the reader.
        """
        indexed, notes = set(index.ids.tolist()), []
        pool = indexed & set(self.gallery.labelled(tuple(names))) if labelled_only else indexed
        if labelled_only and not pool - {query.image}:
            notes.append(
                "No other image is labelled for every chosen attribute, so all images are searched."
            )
            pool = indexed
        lost = [image for image in self.gallery.ids if image not in indexed]
        if lost:
            numbers = ", ".join(map(str, lost[:_LISTED])) + (", ..." if len(lost) > _LISTED else "")
            notes.append(
                f"1 test image cannot be read and is left out (number {numbers})."
                if len(lost) == 1
                else f"{len(lost)} test images cannot be read and are left out (numbers {numbers})."
            )
        filters = dict.fromkeys(names, True) if len(pool) < len(indexed) else None
        return len(pool - {query.image}), filters, notes

    def _pixels(self, query: Query, side: int | None, fit: str) -> np.ndarray:
        if query.image is None:
            return decode_upload(query.title, query.content, side, fit)
        return self.gallery.pixels(query.image, side, fit)


class CatalogueExplorer(Explorer):
    """Searches the images of a saved index; interface and errors as of `Explorer`.

    Args:
        folder: of the index.
        count: how many images a search returns.
        model: the index's model, if it has moved since.
        root: the folder of its images, if they have.
    """

    def __init__(
        self,
        folder: Path | str,
        *,
        count: int = 12,
        model: Path | str = "",
        root: Path | str = "",
    ) -> None:
        self.place, self.count, self.left_out = Path(folder), count, []
        try:
            notes = index_notes(self.place)
            path = model_of(notes, self.place, model or None)
            self._embedder = open_embedder(path, ReportingEmbedder)
            self._catalogue = AttributeIndex.load(self.place, self._embedder, root=root or None)
        except (SearchIndexError, EmbedderError, OSError) as error:
            raise ExplorerError(f"The index cannot be opened. {error}") from error
        atexit.register(self._catalogue.drop_unsaved)  # from Milvus, which keeps what it is given
        known, fit = run_settings(path), self._embedder.model.settings.fit
        settings = {"dataset": "", "seed": 0, **(known or {}), "fit": fit}
        run = Run(path.parent, {"config.json": settings})
        self.methods = [method_of(run) if known else Method(path.stem, "", run)]
        self.gallery = CatalogueGallery(self._catalogue)
        self.photographs = not self.gallery.rendered

    def embedder(self, method: Method) -> ReportingEmbedder:
        """Return the index's model."""
        return self._embedder

    def ready(self, method: Method, attributes: Mapping[str, float]) -> bool:
        """Return whether the catalogue is already embedded for these attributes."""
        return set(attributes) <= set(self._catalogue.store.backends)

    def first_question(self) -> tuple[tuple[str, ...], Query]:
        """Return the most telling attribute that is embedded, and an image to begin with."""
        known = self._telling()
        ready = [name for name in self.gallery.attributes if self.ready(self.first, {name: 1.0})]
        chosen = max(ready or self.gallery.attributes, key=lambda name: known.get(name, -1.0))
        images = [self.gallery.first_image((chosen,)), *self.gallery.ids]
        readable = (image for image in images if self.picture(image))
        return (chosen,), self.test_image(next(readable, images[0]))

    def _telling(self) -> Mapping[str, float]:
        """Return the measured merit of each attribute; without a run, how much its values vary."""
        names = self.gallery.attributes
        varied = {name: -self.gallery.chance(name) for name in names}
        return (super()._telling() if self.first.row else {}) or varied

    def _index(
        self,
        method: Method,
        embedder: ReportingEmbedder,
        names: Sequence[str],
        on_progress: ProgressCallback | None,
    ) -> AttributeIndex:
        embedder.on_progress = on_progress
        try:
            self._catalogue.prepare(names, progress=False)
        finally:
            embedder.on_progress = None
        return self._catalogue

    def _candidates(
        self,
        index: AttributeIndex,
        query: Query,
        names: list[str],
        labelled_only: bool,
        where: Sequence[str],
    ) -> tuple[int, Mapping[str, Any] | None, list[str]]:
        filters = read_conditions(where)
        passed = matching(index.items.metadata, filters)
        notes = [] if passed.any() else ["No image fulfils the conditions; loosen them."]
        return int((passed & (index.ids != query.image)).sum()), filters, notes


def _attend(
    model: SimilarityModel,
    gallery: Gallery,
    query: Query,
    pixels: np.ndarray,
    shares: Mapping[str, float],
) -> tuple[QueryAttention, ...]:
    """Return what a model attends to in the query's pixels, for each attribute of `shares`."""
    indices = [attribute_index(model.attribute_names, name) for name in shares]
    outputs = model.embed_pairs(pixels[None], np.zeros(len(indices), int), np.array(indices))
    found = []
    for row, (name, share) in enumerate(shares.items()):
        value = "" if query.image is None else gallery.value(query.image, name)
        attention = region = None
        if "attention" in outputs:
            attention = outputs["attention"][row]
            top, left, bottom, right = (outputs["boxes"][row] / model.global_size).tolist()
            region = (left, top, right, bottom)
        found.append(QueryAttention(name, share, value, attention, region, model.map_extent))
    return tuple(found)
