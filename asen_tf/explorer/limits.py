"""What may be uploaded, and what the page keeps."""

LARGEST_BYTES = 10 * 2**20
LARGEST_PIXELS = 50_000_000  # a telephone's photograph has 12 to 50 million
# Pillow reads many more formats, some by starting other programs: none of those here.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
