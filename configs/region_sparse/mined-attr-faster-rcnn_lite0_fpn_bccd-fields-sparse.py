_base_ = '../baselines/ignore-attr-faster-rcnn_lite0_fpn_bccd-fields-sparse.py'

from mmleuk.configs import mined

# Half of the cells of a field are cut by its edge; people label what is left
# of a cell down to about a fifth. The teacher averages over 20 steps, as on
# pbc_fields.
model, train_pipeline, train_dataloader, param_scheduler, custom_hooks = mined(
    _base_, cut_at_edges=True, min_visible=0.2, teacher_epochs=20 / 38
)
