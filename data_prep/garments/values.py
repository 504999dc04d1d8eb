"""The eight attributes, their value names, and the geometry that tells the length values apart.

Body coordinates (unit "u", about 45 px at the usual framing): x grows to the right from the middle
of the body, y grows downwards from the base of the neck. A hem's interval is the range that its y
is drawn from; between the intervals of two neighbouring values lies a gap, so that the jitter of a
value never makes its label doubtful.
"""

from __future__ import annotations

VALUES: dict[str, tuple[str, ...]] = {
    "skirt_length": ("Invisible", "Short", "Knee", "Midi", "Ankle", "Floor"),
    "sleeve_length": (
        *("Invisible", "Sleeveless", "Cup", "Short", "Elbow", "3/4", "Wrist", "Long"),
        "Extra Long",
    ),
    "coat_length": (
        *("Invisible", "High Waist", "Regular", "Long", "Micro", "Knee", "Midi"),
        "Ankle&Floor",
    ),
    "pant_length": ("Invisible", "Short", "Mid", "3/4", "Cropped", "Full"),
    "collar_design": ("Invisible", "Shirt Collar", "Peter Pan", "Puritan Collar", "Rib Collar"),
    "lapel_design": ("Invisible", "Notched", "Collarless", "Shawl", "Plus Size Shawl"),
    "neckline_design": (
        *("Invisible", "Strapless", "Deep V", "Straight", "V", "Square", "Off Shoulder"),
        *("Round", "Sweetheart", "One Shoulder"),
    ),
    "neck_design": (
        *("Invisible", "Turtle", "Ruffle Semi-High Collar", "Low Turtle"),
        "Draped Collar",
    ),
}
ATTRIBUTES: tuple[str, ...] = tuple(VALUES)
NECK_ATTRIBUTES = ("collar_design", "lapel_design", "neckline_design", "neck_design")

# Heights of the body in u.
CHIN, SHOULDER, WAIST, ANKLE, FLOOR = -0.42, 0.2, 1.75, 5.7, 5.98
HEAD_TOP = -1.62

Interval = tuple[float, float]

# y of the hem per value index (index 0, Invisible, has none).
SKIRT_HEMS: dict[int, Interval] = {
    1: (3.15, 3.42),
    2: (4.05, 4.30),
    3: (4.76, 4.98),
    4: (5.36, 5.52),
    5: (5.92, 6.00),
}
COAT_HEMS: dict[int, Interval] = {
    1: (1.55, 1.72),
    2: (2.20, 2.36),
    3: (2.80, 2.96),
    4: (3.42, 3.58),
    5: (4.10, 4.32),
    6: (4.80, 5.02),
    7: (5.50, 5.80),
}
TROUSER_HEMS: dict[int, Interval] = {
    1: (3.20, 3.42),
    2: (4.00, 4.25),
    3: (4.68, 4.90),
    4: (5.26, 5.40),
    5: (5.78, 5.92),
}
# End of the sleeve as a share of the arm from shoulder (0) to wrist (1); fingertips are at 1.18.
SLEEVE_ENDS: dict[int, Interval] = {
    1: (0.0, 0.0),
    2: (0.11, 0.15),
    3: (0.27, 0.33),
    4: (0.46, 0.51),
    5: (0.645, 0.69),
    6: (0.82, 0.86),
    7: (1.00, 1.03),
    8: (1.28, 1.36),
}
