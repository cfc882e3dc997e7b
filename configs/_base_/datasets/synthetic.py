# Films that tools/dataset_converters/make_synthetic_films.py draws, by default
# 60 fields to train on and 20 to test on. For demos and tests: no score on
# them says anything about real blood.
_base_ = './lld-400px.py'

data_root = 'data/synthetic_films/'
subset = 'H_100X_C1'

train_dataloader = dict(dataset=dict(data_root=data_root, subset=subset))
val_dataloader = dict(dataset=dict(data_root=data_root, subset=subset))
test_dataloader = val_dataloader
