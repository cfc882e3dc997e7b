# Copyright (c) mmleuk authors. All rights reserved.
from mmengine.logging import MessageHub


def training_progress() -> float:
    """Tell which share of the training is done.

    Read from what ``RuntimeInfoHook``, a default hook of MMEngine's runner,
    writes to the current message hub before each iteration.

    Returns:
        float: Share in [0, 1). 0 where no runner is training: a model alone
        is at the start of its training.
    """
    hub = MessageHub.get_current_instance()
    if hub.get_info('loop_stage') != 'train':
        return 0.0
    return hub.get_info('iter') / hub.get_info('max_iters')
