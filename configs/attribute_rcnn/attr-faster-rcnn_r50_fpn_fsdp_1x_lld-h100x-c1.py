# Shards weights, gradients and optimizer over the GPUs, for models that are
# too large for one: `bash tools/dist_train.sh CONFIG 8`.
_base_ = './attr-faster-rcnn_r50_fpn_1x_lld-h100x-c1.py'

runner_type = 'FlexibleRunner'
strategy = dict(
    type='FSDPStrategy',
    # Since some parameters of a layer are frozen, others trained.
    model_wrapper=dict(
        type='MMFullyShardedDataParallel', use_orig_params=True
    ),
    # One file, which any other runner reads.
    state_dict_cfg='full',
)
# A process sees only its shard of a gradient, so that processes could not
# agree on skipping a step, nor on the norm to clip to.
optim_wrapper = dict(type='OptimWrapper', clip_grad=None)
