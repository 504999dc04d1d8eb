"""The one error of the evidence sheet."""


class EvidenceError(ValueError):
    """A design, a catalogue or a wish that no sheet can be made from."""
