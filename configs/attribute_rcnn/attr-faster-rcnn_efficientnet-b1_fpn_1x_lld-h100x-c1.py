_base_ = ['./attr-faster-rcnn_efficientnet-b0_fpn_1x_lld-h100x-c1.py']

checkpoint = 'https://download.openmmlab.com/mmclassification/v0/efficientnet/efficientnet-b1_3rdparty_8xb32-aa_in1k_20220119-619d8ae3.pth'  # noqa: E501

model = dict(backbone=dict(arch='b1', init_cfg=dict(checkpoint=checkpoint)))
