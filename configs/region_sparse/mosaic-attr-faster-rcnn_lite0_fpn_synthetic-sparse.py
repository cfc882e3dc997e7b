_base_ = '../baselines/ignore-attr-faster-rcnn_lite0_fpn_synthetic-sparse.py'

from mmleuk.configs import mosaic

# Films have cells that are cut by the edge of the field.
train_pipeline, train_dataloader = mosaic(_base_, cut_at_edges=True)
