_base_ = ['../baselines/full-attr-faster-rcnn_lite0_fpn_lld-40x.py']

# As lite0 with five blocks more; the channels are the same.
model = dict(
    backbone=dict(
        arch='lite1',
        init_cfg=dict(checkpoint='mmleuk://efficientnet-lite1'),
    )
)
