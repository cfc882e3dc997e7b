_base_ = '../baselines/ignore-attr-faster-rcnn_lite0_fpn_synthetic-sparse.py'

from mmleuk.configs import mined

# Films have cells that are cut by the edge of the field. The teacher averages
# over 20 steps, as on pbc_fields.
model, train_pipeline, train_dataloader, param_scheduler, custom_hooks = mined(
    _base_, cut_at_edges=True, teacher_epochs=20 / 15
)
