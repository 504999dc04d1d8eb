"""The layers that the methods are made of: attention, masks, regions of interest, pixels."""

from asen_tf.layers.channel_attention import AttributeChannelAttention, start_as_released
from asen_tf.layers.conditional_mask import ConditionalMask
from asen_tf.layers.pixels import ImageNormalisation, global_view, released_crops, released_view
from asen_tf.layers.position_gate import PositionGate
from asen_tf.layers.region_of_interest import RegionOfInterest, crop_regions, jittered, region_boxes
from asen_tf.layers.spatial_attention import (
    EPSILON,
    AttributeCrossAttention,
    AttributeSpatialAttention,
    AverageAttention,
    BackgroundAttention,
    ProductSpatialAttention,
)

__all__ = [
    "EPSILON",
    "AttributeChannelAttention",
    "AttributeCrossAttention",
    "AttributeSpatialAttention",
    "AverageAttention",
    "BackgroundAttention",
    "ConditionalMask",
    "ImageNormalisation",
    "PositionGate",
    "ProductSpatialAttention",
    "RegionOfInterest",
    "crop_regions",
    "jittered",
    "global_view",
    "region_boxes",
    "released_crops",
    "released_view",
    "start_as_released",
]
