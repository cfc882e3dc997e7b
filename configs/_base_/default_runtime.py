_base_ = ['mmdet::_base_/default_runtime.py']

default_hooks = dict(
    logger=dict(interval=10),
    # Keeps the disk small; --resume needs the last one alone.
    checkpoint=dict(
        type='mmleuk.AtomicCheckpointHook', interval=1, max_keep_ckpts=1
    ),
    # A run that was interrupted goes on as if it had not been.
    epoch_seed=dict(type='mmleuk.EpochSeedHook'),
    # The step with a loss that is NaN or inf is left out. So many may be:
    loss_guard=dict(type='mmleuk.LossGuardHook', max_skipped=0),
    # What inference explains a cell's type by.
    type_profile=dict(type='mmleuk.TypeProfileHook'),
    visualization=dict(type='mmleuk.LLDVisualizationHook'),
)

visualizer = dict(type='mmleuk.LLDLocalVisualizer')

tta_model = dict(
    type='mmleuk.AttributeTTAModel',
    tta_cfg=dict(nms=dict(type='nms', iou_threshold=0.5), max_per_img=100),
)
