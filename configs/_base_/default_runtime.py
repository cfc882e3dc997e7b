_base_ = ['mmdet::_base_/default_runtime.py']

default_hooks = dict(
    logger=dict(interval=10),
    # --resume needs the last one only.
    checkpoint=dict(
        type='mmleuk.AtomicCheckpointHook', interval=1, max_keep_ckpts=1
    ),
    # A resumed run draws the same random numbers as an uninterrupted one.
    epoch_seed=dict(type='mmleuk.EpochSeedHook'),
    # Steps with a loss of NaN or inf are skipped; more than that end the run.
    loss_guard=dict(type='mmleuk.LossGuardHook', max_skipped=0),
    # Classes and attributes of data and model have to agree.
    schema_check=dict(type='mmleuk.SchemaCheckHook'),
    # How often types have attribute values: inference explains types by it.
    type_profile=dict(type='mmleuk.TypeProfileHook'),
    visualization=dict(type='mmleuk.LLDVisualizationHook'),
)

visualizer = dict(type='mmleuk.LLDLocalVisualizer')

tta_model = dict(
    type='mmleuk.AttributeTTAModel',
    tta_cfg=dict(nms=dict(type='nms', iou_threshold=0.5), max_per_img=100),
)
