"""The layers that the methods are made of: attention, masks, regions of interest, pixels."""

from asen_tf.layers.channel_attention import AttributeChannelAttention, start_as_released
from asen_tf.layers.conditional_mask import ConditionalMask
from asen_tf.layers.pixels import ImageNormalisation, global_view
from asen_tf.layers.position_gate import PositionGate
from asen_tf.layers.region_of_interest import (
    RegionOfInterest,
    crop_regions,
    jittered,
    region_boxes,
)
from asen_tf.layers.spatial_attention import (
    AttributeSpatialAttention,
    AverageAttention,
    ProductSpatialAttention,
)

__all__ = [
    "AttributeChannelAttention",
    "AttributeSpatialAttention",
    "AverageAttention",
    "ConditionalMask",
    "ImageNormalisation",
    "PositionGate",
    "ProductSpatialAttention",
    "RegionOfInterest",
    "crop_regions",
    "jittered",
    "global_view",
    "region_boxes",
    "start_as_released",
]
