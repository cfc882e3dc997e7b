# Learns from the annotated regions alone, four of them in an image, each with
# some of what lies around it: nearly as many labelled cells in a step as where
# all of each field is labelled.
*view, pack = _base_.train_pipeline
mosaic = dict(
    type='mmleuk.CachedRegionMosaic',
    img_scale=_base_.scale,
    cut_at_edges=_base_.cells_at_edges,
    min_visible=_base_.min_visible,
)
train_pipeline = [*view, mosaic, pack]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
