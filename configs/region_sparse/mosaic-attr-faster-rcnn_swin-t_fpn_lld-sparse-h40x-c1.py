_base_ = (  # noqa: E501
    '../attribute_rcnn/attr-faster-rcnn_swin-t_fpn_1x_lld-sparse-h40x-c1.py'
)

from mmleuk.configs import mosaic

train_pipeline, train_dataloader = mosaic(_base_)
