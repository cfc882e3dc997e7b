_base_ = './attr-faster-rcnn_lite0_fpn-dense.py'

num_classes = 3

# The same detector without attribute branches: these cells have no attributes.
model = dict(
    roi_head=dict(
        _delete_=True,
        type='StandardRoIHead',
        bbox_roi_extractor={{_base_.model.roi_head.bbox_roi_extractor}},
        bbox_head=dict(
            _base_.model.roi_head.bbox_head, num_classes=num_classes
        ),
    )
)
