# Shards weights, gradients and optimizer over the GPUs, for models that are
# too large for one: `bash tools/dist_train.sh CONFIG 8`.
_base_ = './attr-faster-rcnn_r50_fpn_1x_lld-h100x-c1.py'

runner_type = 'FlexibleRunner'
strategy = dict(
    type='FSDPStrategy',
    # Frozen and trained parameters lie side by side.
    model_wrapper=dict(
        type='MMFullyShardedDataParallel', use_orig_params=True
    ),
    # One file, which any other runner reads.
    state_dict_cfg='full',
)
# Each process sees its own shard of a gradient, so that they could not agree
# on leaving a step out.
optim_wrapper = dict(type='OptimWrapper')
