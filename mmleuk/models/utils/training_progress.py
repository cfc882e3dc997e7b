# Copyright (c) mmleuk authors. All rights reserved.
from mmengine.logging import MessageHub


def training_progress() -> float:
    """Get the share of the training that is done.

    ``RuntimeInfoHook``, a default hook of MMEngine's runner, writes it to the
    current message hub before each iteration.

    Returns:
        float: Share in [0, 1), 0 if no runner is training.
    """
    hub = MessageHub.get_current_instance()
    if hub.get_info('loop_stage') != 'train':
        return 0.0
    return hub.get_info('iter') / hub.get_info('max_iters')
