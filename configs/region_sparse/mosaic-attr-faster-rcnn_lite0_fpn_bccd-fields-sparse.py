_base_ = '../baselines/ignore-attr-faster-rcnn_lite0_fpn_bccd-fields-sparse.py'

from mmleuk.configs import mosaic

# Half of the cells of a field are cut by its edge; people label what is left
# of a cell down to about a fifth.
train_pipeline, train_dataloader = mosaic(
    _base_, cut_at_edges=True, min_visible=0.2
)
