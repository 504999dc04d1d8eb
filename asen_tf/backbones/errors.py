"""What goes wrong with backbones."""


class BackboneError(ValueError):
    """A backbone's name is unknown, or its weights cannot be had."""
