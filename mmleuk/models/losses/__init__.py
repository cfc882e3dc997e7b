# Copyright (c) mmleuk authors. All rights reserved.
from .asymmetric_loss import AsymmetricLoss
from .cosine_triplet_loss import CosineTripletLoss
from .softmax_focal_loss import SoftmaxFocalLoss

__all__ = ['AsymmetricLoss', 'CosineTripletLoss', 'SoftmaxFocalLoss']
