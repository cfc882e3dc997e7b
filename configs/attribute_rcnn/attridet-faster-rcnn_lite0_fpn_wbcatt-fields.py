_base_ = ['./attr-faster-rcnn_lite0_fpn_wbcatt-fields.py']

# As in attridet-faster-rcnn_lite0_fpn_pbc-fields.py.
model = dict(
    roi_head=dict(
        attribute_source='early',
        attribute_rois='gt',
        attribute_roi_extractor=dict(
            roi_layer=dict(output_size=(24, 30), sampling_ratio=0),
            out_channels=24 + 40,
            featmap_strides=[4, 8],
        ),
        attribute_head=dict(
            _delete_=True,
            type='mmleuk.AttriDetHead',
            in_channels=24 + 40,
            attributes=_base_.attributes,
        ),
    )
)
