# Copyright (c) mmleuk authors. All rights reserved.
from .attribute_head import AttributeHead, BaseAttributeHead
from .attridet_head import AttriDetHead

__all__ = ['AttriDetHead', 'AttributeHead', 'BaseAttributeHead']
