# Copyright (c) mmleuk authors. All rights reserved.
from .asymmetric_loss import AsymmetricLoss
from .cosine_triplet_loss import CosineTripletLoss

__all__ = ['AsymmetricLoss', 'CosineTripletLoss']
