# Films of 40x with some 23 white cells a field, 60 fields to train on and 20
# to test on. make_synthetic_films.py in tools/dataset_converters draws them
# with `--preset sparse40x --out data/synthetic_sparse`.
_base_ = './synthetic.py'

data_root = 'data/synthetic_sparse/'
subset = 'H_40X_C1'

train_dataloader = dict(dataset=dict(data_root=data_root, subset=subset))
val_dataloader = dict(dataset=dict(data_root=data_root, subset=subset))
test_dataloader = val_dataloader
