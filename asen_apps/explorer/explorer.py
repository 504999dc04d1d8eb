"""All that the explorer can do, without a widget: choose, search, look."""

from __future__ import annotations

import time
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path

import numpy as np

from asen_apps.explorer import uploads
from asen_apps.explorer.answers import Answer, Found, Query, looks, pool_of
from asen_apps.explorer.catalogue import Catalogue
from asen_apps.explorer.errors import ExplorerError
from asen_apps.explorer.indexes import Indexes, Progress, ReportingEmbedder
from asen_apps.explorer.methods import Method, first_of, methods_of, offered
from asen_apps.search import AttributeIndex
from asen_study.runs import Run
from asen_tf.models.base import attribute_index


class Explorer:
    """Searches the test images of a study with its methods.

    Args:
        place: the study's directory, `results/<study>`.
        data_dir: the directory of meta.json and the datasets.
        count: how many images a search returns.

    Attributes:
        methods: what can be chosen, in the order of the tables; all of one dataset.
        left_out: methods of other datasets, whose attributes and images are others.

    Raises:
        ExplorerError: no such study, no finished method, or no data.

    Example:
        >>> explorer = Explorer("results/quick", "data")
        >>> query = explorer.test_image(12)
        >>> answer = explorer.search(explorer.methods[-1], query, {"neckline_design": 1.0})
    """

    def __init__(self, place: Path | str, data_dir: Path | str, *, count: int = 12) -> None:
        """Read what there is; models are loaded when they are chosen."""
        self.place, self.data_dir, self.count = Path(place), Path(data_dir), count
        self.methods, self.left_out = offered(methods_of(self.place))
        self._indexes = Indexes(self.place, self.data_dir)
        self._embedders: dict[str, ReportingEmbedder] = {}
        self._catalogues: dict[str, Catalogue] = {}
        self.catalogue(self.first)  # without data there is nothing to show

    @property
    def first(self) -> Method:
        """The method that the page begins with."""
        return first_of(self.methods)

    def catalogue(self, method: Method) -> Catalogue:
        """Return the images that a method searches."""
        if method.dataset not in self._catalogues:
            self._catalogues[method.dataset] = Catalogue(self.data_dir, method.dataset)
        return self._catalogues[method.dataset]

    def picture(self, method: Method, image: int) -> str:
        """Return a test image as `data:` URI; "" where its file cannot be read."""
        try:
            return self.catalogue(method).picture(image)
        except ExplorerError:
            return ""

    def embedder(self, method: Method) -> ReportingEmbedder:
        """Return a method's model, loaded once."""
        if method.name not in self._embedders:
            path = method.run.path / "model.keras"
            self._embedders[method.name] = ReportingEmbedder.load(path)
        return self._embedders[method.name]

    def ready(self, method: Method, attributes: Mapping[str, float]) -> bool:
        """Return whether a search answers at once, without embedding the catalogue first."""
        return self._indexes.ready(method, attributes)

    def first_question(self) -> tuple[tuple[str, ...], Query]:
        """Return attributes and a query for a page to begin with.

        They are the two attributes that the first method ranks best (by its own MAP), among the
        pairs that enough images have labels for.
        """
        catalogue, run = self.catalogue(self.first), Run(self.first.run.path)
        known = run.table("map").groupby("attribute")["map"].max() if run.has("map") else {}
        pairs = list(combinations(catalogue.attributes, 2)) or [catalogue.attributes[:1]]

        def merit(pair: tuple[str, ...]) -> tuple[int, float]:
            enough = min(len(catalogue.labelled(pair)), 4 * self.count)
            return enough, sum(known.get(name, 0.0) for name in pair)

        chosen = max(pairs, key=merit)
        images = [catalogue.first_image(chosen), *catalogue.labelled(chosen), *catalogue.ids]
        readable = (image for image in images if self.picture(self.first, image))
        return chosen, self.test_image(next(readable, images[0]))

    # === Queries ===

    def test_image(self, image: int) -> Query:
        """Return a test image as a query."""
        return Query(f"test image {image}", image)

    def upload(self, name: str, content: bytes, size: int | None = None) -> Query:
        """Return an uploaded file as a query.

        Args:
            name: what the reader's machine calls the file; only shown.
            content: its bytes.
            size: its length as the browser gives it.

        Raises:
            ExplorerError: it is no image, or beyond the limits of `asen_apps.explorer.uploads`.
        """
        uploads.check(name, content, size)
        uploads.decode(name, content, 64)  # a damaged one is refused now, not at the search
        return Query(f"your picture {name}", None, content)

    # === Searching ===

    def search(
        self,
        method: Method,
        query: Query,
        weights: Mapping[str, float],
        *,
        labelled_only: bool = True,
        report: Progress | None = None,
    ) -> Answer:
        """Find the nearest test images; the query itself is never among them.

        Args:
            method: one of `methods`.
            query: of `test_image` or `upload`.
            weights: positive weight by attribute; they are scaled to the sum 1.
            labelled_only: search the images with a label for every chosen attribute, if there
                are any: only there is known what is right.
            report: called with images done and images in all while the catalogue is embedded.

        Raises:
            ExplorerError: no attribute is chosen, the query cannot be used, or none of the test
                images can be read; some that cannot are left out, and the answer's notes say so.
        """
        chosen = {name: float(weight) for name, weight in weights.items() if weight > 0}
        if not chosen:
            raise ExplorerError("Choose at least one attribute, with a weight above zero.")
        catalogue, embedder = self.catalogue(method), self.embedder(method)
        names = sorted(chosen, key=lambda name: attribute_index(embedder.attribute_names, name))
        shares = {name: chosen[name] / sum(chosen.values()) for name in names}
        index = self._indexes.get(method, embedder, catalogue, names, report)
        started = time.perf_counter()
        pixels = self.pixels(method, query, embedder.model.source_size)
        pool = pool_of(catalogue, index.ids.tolist(), query, names, labelled_only=labelled_only)
        found = self._found(index, catalogue, query, pixels, shares, pool.filters)
        return Answer(
            method=method.label,
            query=query,
            pixels=pixels,
            looks=looks(embedder.model, catalogue, query, pixels, shares),
            found=found,
            searched=pool.size,
            notes=pool.notes,
            seconds=time.perf_counter() - started,
        )

    def _found(
        self,
        index: AttributeIndex,
        catalogue: Catalogue,
        query: Query,
        pixels: np.ndarray,
        shares: dict[str, float],
        filters: dict[str, bool] | None,
    ) -> tuple[Found, ...]:
        hits = index.search(pixels, shares, k=self.count + 1, filters=filters)
        return tuple(
            Found(
                image=hit.id,
                score=hit.score,
                parts={name: hit.parts[name] for name in shares},
                verdicts={name: catalogue.compare(query.image, hit.id, name) for name in shares},
            )
            for hit in [hit for hit in hits if hit.id != query.image][: self.count]
        )

    def pixels(self, method: Method, query: Query, side: int) -> np.ndarray:
        """Return a query's centre square, `(side, side, 3)` uint8."""
        if query.image is None:
            return uploads.decode(query.title, query.content, side)
        return self.catalogue(method).pixels(query.image, side)
