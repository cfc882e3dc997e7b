_base_ = './attr-faster-rcnn_lite0_fpn-dense.py'

num_classes = 3

# The same detector without attribute branches: these cells have no attributes.
roi_head = {
    key: value
    for key, value in _base_.model.roi_head.items()
    if not key.startswith('attribute_')
}
roi_head['type'] = 'StandardRoIHead'
roi_head['bbox_head'].update(num_classes=num_classes)
model = dict(roi_head=dict(roi_head, _delete_=True))
