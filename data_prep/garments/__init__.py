"""Drawing of the built-in dataset `Garments`: what is sampled and how it is drawn.

`values` fixes the attributes, `outfit` samples what the labels say, `scene` samples
everything else independently of it, and `render` draws the two together.
"""
