_base_ = ['./attr-faster-rcnn_lite0_fpn_pbc-fields.py']

# As lite0 with five blocks more; the channels are the same.
model = dict(
    backbone=dict(
        arch='lite1',
        init_cfg=dict(checkpoint='mmleuk://efficientnet-lite1'),
    )
)
