# Learns from the annotated rectangles alone, cut out of their fields. A
# rectangle has a fifth of a field's pixels, so that five times as many make a
# batch of the same size, and five times as many epochs the same training.
crops_in_a_field = 5
max_epochs = _base_.max_epochs * crops_in_a_field

# Of the proposals and RoIs that a field has, a rectangle has more than its
# share: MMDetection counts them by the image.
model = dict(
    train_cfg=dict(
        rpn_proposal=dict(max_per_img=200), rcnn=dict(sampler=dict(num=128))
    )
)
if 'attribute_max_rois' in _base_.model.roi_head:
    model.update(roi_head=dict(attribute_max_rois=12))

load, annotate, photometric, resize, *orient, pack = _base_.train_pipeline
train_pipeline = [
    load,
    annotate,
    photometric,
    resize,
    dict(type='mmleuk.RegionCrop'),
    *orient,
    pack,
]
train_dataloader = dict(
    batch_size=4 * crops_in_a_field, dataset=dict(pipeline=train_pipeline)
)

train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
warmup, cosine = _base_.param_scheduler
cosine.update(end=max_epochs, T_max=max_epochs)
param_scheduler = [warmup, cosine]
# Its epochs are shorter.
default_hooks = dict(checkpoint=dict(interval=crops_in_a_field))
