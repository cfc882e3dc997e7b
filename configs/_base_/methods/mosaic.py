# Learns from the annotated regions alone, four of them in an image, each with
# some of what lies around it: nearly as many labelled cells in a step as where
# all of each field is labelled.
load, annotate, photometric, resize, *orient, pack = _base_.train_pipeline
train_pipeline = [
    load,
    annotate,
    photometric,
    resize,
    *orient,
    dict(type='mmleuk.CachedRegionMosaic', img_scale=_base_.scale),
    pack,
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
