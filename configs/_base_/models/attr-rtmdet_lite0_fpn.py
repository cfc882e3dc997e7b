_base_ = './attributes_lite0_fpn.py'

from mmleuk.configs import mmdet_model

# The head of RTMDet-s.
model = mmdet_model(
    _base_,
    'mmdet::rtmdet/rtmdet_s_8xb32-300e_coco.py',
    type='mmleuk.AttributeRTMDet',
    bbox_head=dict(
        num_classes=_base_.num_classes,
        in_channels=_base_.neck_channels,
        feat_channels=_base_.neck_channels,
        norm_cfg=dict(type='BN'),
        # As in RTMDet-m to -x. Otherwise the first boxes have no area,
        # and a few hundred fields are too few to mend that.
        exp_on_reg=True,
    ),
    # There are fewer boxes in a field than MMDetection expects in an image.
    test_cfg=dict(nms_pre=1000, max_per_img=100),
)
