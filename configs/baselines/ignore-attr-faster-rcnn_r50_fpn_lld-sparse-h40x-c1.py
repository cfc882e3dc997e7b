_base_ = '../attribute_rcnn/attr-faster-rcnn_r50_fpn_1x_lld-sparse-h40x-c1.py'
