# Copyright (c) mmleuk authors. All rights reserved.
from .asymmetric_loss import AsymmetricLoss
from .cosine_triplet_loss import CosineTripletLoss
from .long_tail import ClassBalancedWeights, LogitAdjustment

__all__ = [
    'AsymmetricLoss',
    'ClassBalancedWeights',
    'CosineTripletLoss',
    'LogitAdjustment',
]
