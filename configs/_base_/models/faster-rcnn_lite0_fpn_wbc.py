_base_ = './attr-faster-rcnn_lite0_fpn_wbc.py'

# The same detector without attribute branches.
model = dict(
    roi_head=dict(
        _delete_=True,
        type='StandardRoIHead',
        bbox_roi_extractor={{_base_.model.roi_head.bbox_roi_extractor}},
        bbox_head={{_base_.model.roi_head.bbox_head}},
    )
)
