# Copyright (c) mmleuk authors. All rights reserved.
from .channels_last import ChannelsLastDetDataPreprocessor

__all__ = ['ChannelsLastDetDataPreprocessor']
