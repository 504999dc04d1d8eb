"""Everything the labels do not say: body, pose, colours, fabrics, background, camera.

All of it is sampled from its own random stream and never sees a value. Two things may depend on
*how* a part is hidden (the arms hang inside a cape), none on which value is shown.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data_prep.garments.fabric import Colour, Fabric, muted, random_fabric
from data_prep.garments.outfit import Outfit, pick
from data_prep.garments.pen import Warp

BACKGROUNDS = {"plain": 0.26, "gradient": 0.26} | dict.fromkeys(
    ("brick", "planks", "shelves", "street", "foliage", "rack"), 0.08
)
PROPS = ("board", "box", "plant", "bag", "counter")
SKINS: tuple[Colour, ...] = (
    *((247, 217, 196), (236, 196, 168), (222, 174, 140), (194, 143, 108)),
    *((160, 110, 80), (120, 80, 58), (88, 60, 46)),
)
HAIRS: tuple[Colour, ...] = (
    *((28, 22, 20), (56, 38, 28), (96, 62, 38), (150, 104, 62), (206, 172, 118)),
    *((140, 52, 30), (150, 148, 146)),
)
DUMMIES: tuple[Colour, ...] = ((232, 228, 220), (196, 194, 192), (206, 182, 148), (70, 70, 74))


@dataclass(frozen=True)
class Camera:
    """Framing and recording; angles in degrees, offsets as shares of the slack in the frame."""

    rotation: float
    zoom: float  # share of the largest scale at which the needed parts still fit the frame
    headroom: float  # 0: the frame cuts the head, 1: it shows all of it
    shift: tuple[float, float]
    exposure: float
    contrast: float
    white: tuple[float, float, float]
    light_angle: float
    light_depth: float
    blur: float  # sigma in pixels; 0 for none
    noise: float  # standard deviation in grey levels
    quality: int  # JPEG


@dataclass(frozen=True)
class Scene:
    """The random factors of one image that are independent of its values."""

    warp: Warp
    skin: Colour
    hair: Colour
    hair_style: str
    stance: tuple[float, float]  # degrees by which each leg leaves the vertical
    arms: tuple[
        tuple[float, float], tuple[float, float]
    ]  # upper arm and forearm, degrees, per side
    ease: float  # looseness of the upper garment, u
    sleeve_ease: float
    flare: float  # of the skirt or coat: half-width gained per u of length
    leg_ease: float
    upper: Fabric
    lower: Fabric
    inner: Fabric
    trim: Fabric | None  # a second cloth for collars, lapels, necks and bands
    extra: Fabric  # scarf, cape, bag
    tucked: bool
    front_gap: float  # u by which a coat hangs open at the hem, to each side
    extras: frozenset[str]  # things that hide nothing
    prop: str
    prop_side: int
    background: str
    wall: Colour
    ground: Colour
    camera: Camera
    seed: int  # of the fine jitter in drawing


def _arm(rng: np.random.Generator, *, still: bool, limp: bool) -> tuple[float, float]:
    """Sample the angles of upper arm and forearm against the vertical, outwards positive."""
    if still:
        return float(rng.uniform(5, 9)), float(rng.uniform(0, 6))
    ways = {"hang": 1.0} if limp else {"hang": 0.55, "hip": 0.2, "across": 0.13, "raised": 0.12}
    way = pick(rng, ways)
    upper, fore = {
        "hang": ((7, 22), (-6, 14)),
        "hip": ((28, 40), (-62, -46)),
        "across": ((5, 13), (-68, -54)),
        "raised": ((36, 58), (148, 168)),
    }[way]
    return float(rng.uniform(*upper)), float(rng.uniform(*fore))


def _camera(rng: np.random.Generator) -> Camera:
    white = tuple(float(v) for v in rng.normal(1.0, 0.035, 3))
    return Camera(
        rotation=float(rng.uniform(-6, 6)),
        zoom=float(rng.uniform(0.9, 1.0)),
        headroom=float(np.clip(rng.uniform(-0.8, 0.6), 0, 1)),
        shift=(float(rng.uniform(-0.3, 0.3)), float(rng.uniform(0, 1))),
        exposure=float(rng.uniform(0.95, 1.3)),
        contrast=float(rng.uniform(0.85, 1.15)),
        white=white,
        light_angle=float(rng.uniform(0, 360)),
        light_depth=float(rng.uniform(0.0, 0.2)),
        blur=float(rng.uniform(0.35, 0.9)) if rng.random() < 0.4 else 0.0,
        noise=float(rng.uniform(1.0, 6.0)),
        quality=int(rng.integers(62, 96)),
    )


def sample_scene(rng: np.random.Generator, outfit: Outfit) -> Scene:
    """Sample the scene of an outfit; of the outfit it reads only `support` and `hidden`."""
    person = outfit.support == "person"
    skin = SKINS[int(rng.integers(len(SKINS)))] if person else DUMMIES[int(rng.integers(4))]
    limp = outfit.support in ("form", "hanger")
    still = "sleeve_length" in outfit.hidden
    wall, ground = muted(rng, (skin,)), muted(rng)
    upper = random_fabric(rng, (skin, wall))
    lower = random_fabric(rng, (skin, wall, upper.colour))
    inner = random_fabric(rng, (skin, upper.colour))
    hair = HAIRS[int(rng.integers(len(HAIRS)))]
    chances = {"bag": 0.22, "crossbody": 0.07, "belt": 0.2, "neckerchief": 0.15}
    chances |= {"scarf": 0.16, "shawl": 0.14, "glasses": 0.15, "prop": 0.35, "clutter": 0.3}
    return Scene(
        warp=Warp(
            width=float(rng.uniform(0.88, 1.14)),
            legs=float(rng.uniform(0.95, 1.06)),
            turn=float(rng.uniform(-0.1, 0.1)),
            sway=0.0 if limp else float(rng.uniform(-0.07, 0.07)),
            lean=float(rng.uniform(-0.02, 0.02)) if limp else float(rng.uniform(-0.05, 0.05)),
        ),
        skin=skin,
        hair=hair,
        hair_style=pick(rng, {"short": 0.25, "bob": 0.2, "bun": 0.2, "long": 0.2, "side": 0.15}),
        stance=(float(rng.uniform(-1, 6)), float(rng.uniform(-1, 6))),
        arms=(_arm(rng, still=still, limp=limp), _arm(rng, still=still, limp=limp)),
        ease=float(rng.uniform(0.02, 0.16)),
        sleeve_ease=float(rng.uniform(0.02, 0.11)),
        flare=float(rng.uniform(0.0, 0.17)),
        leg_ease=float(rng.uniform(0.04, 0.22)),
        upper=upper,
        lower=lower,
        inner=inner,
        trim=random_fabric(rng, (upper.colour, skin)) if rng.random() < 0.9 else None,
        extra=random_fabric(rng, (upper.colour, skin, hair)),
        tucked=bool(rng.random() < 0.5),
        front_gap=float(rng.uniform(0.1, 0.35)) if rng.random() < 0.45 else 0.0,
        extras=frozenset(name for name, chance in chances.items() if rng.random() < chance),
        prop=PROPS[int(rng.integers(len(PROPS)))],
        prop_side=1 if rng.random() < 0.5 else -1,
        background=pick(rng, BACKGROUNDS),
        wall=wall,
        ground=ground,
        camera=_camera(rng),
        seed=int(rng.integers(2**31)),
    )
