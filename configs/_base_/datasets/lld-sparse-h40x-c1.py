# The sparse 40x set: train images are annotated in one rectangle each, test
# images as a whole. Labels are JSON with `annotated_regions`, or text with the
# rectangle in every row; `ann_format='auto'` tells by the files.
_base_ = './lld.py'

data_root = 'data/lld_sparse/'
subset = 'H_40X_C1'

train_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        subset=subset,
        # Order of the rectangle's four numbers in text labels; 'x1x2y1y2' or
        # 'x1y1x2y2' where the files leave it open.
        region_order='auto',
        # A rectangle without cells is true background, and there may be cells
        # to mine outside.
        filter_cfg=dict(filter_empty_gt=False, min_size=32),
    )
)
val_dataloader = dict(dataset=dict(data_root=data_root, subset=subset))
test_dataloader = val_dataloader
