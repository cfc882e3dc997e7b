_base_ = ['./schedule_lld.py']

# schedule_lite0.py has 3e-4 for batches of 4. Adam's rate should grow with the
# square root of the batch, but `auto_scale_lr` scales by the batch: for 4 to
# 32 images this stays within a factor of 2 of the square root.
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='AdamW', lr=6e-4, weight_decay=0.01)
)
