"""The controls of the attributes: which ones, and how much each counts."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import ipywidgets as widgets

from asen_tf.annotations import label


class AttributeRows:
    """A box to tick and a weight per attribute.

    Args:
        names: the attributes.
        chosen: those that are ticked at first.
        changed: called after every change.

    Attributes:
        widget: what is shown.
    """

    def __init__(
        self, names: Iterable[str], chosen: Iterable[str], changed: Callable[[], None]
    ) -> None:
        """Make the controls."""
        chosen = set(chosen)
        self._rows = {name: self._row(name, name in chosen, changed) for name in names}
        rows = [widgets.Box(list(pair)).add_class("ax-row") for pair in self._rows.values()]
        self.widget = widgets.VBox(rows)

    @property
    def weights(self) -> dict[str, float]:
        """The weight of every ticked attribute."""
        return {name: weight.value for name, (tick, weight) in self._rows.items() if tick.value}

    def _row(
        self, name: str, ticked: bool, changed: Callable[[], None]
    ) -> tuple[widgets.Checkbox, widgets.FloatSlider]:
        tick = widgets.Checkbox(value=ticked, description=label(name), indent=False)
        weight = widgets.FloatSlider(
            value=1.0,
            min=0.1,
            max=1.0,
            step=0.1,
            readout_format=".1f",
            disabled=not ticked,
            continuous_update=False,
        )
        weight.tooltip = f"weight of {label(name)}"

        def ticks(change: dict) -> None:
            weight.disabled = not change["new"]
            changed()

        tick.observe(ticks, "value")
        weight.observe(lambda change: changed(), "value")
        return tick, weight
