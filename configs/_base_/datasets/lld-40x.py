# Real fields of 40x of the Large Leukemia Dataset, 14 types: 178 to train on,
# 47 of the same patients to test on, with text labels as in the release. The
# labels to train on are JSON, which can be cut down to regions:
#
#   python tools/dataset_converters/convert.py labels --from text --to json \
#       --images data/lld_40x/H_40X_C2/images/train \
#       data/lld_40x/H_40X_C2/txt_labels/AttriDet/train \
#       data/lld_40x_json/train.json
#   python tools/dataset_converters/sparsify.py data/lld_40x_json/train.json \
#       data/lld_40x_json/train_sparse.json --share 0.2
_base_ = './lld-400px.py'

data_root = 'data/'
subset = 'H_40X_C2'

train_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        ann_file='lld_40x_json/train.json',
        data_prefix=dict(img='lld_40x/H_40X_C2/images/train/'),
    )
)
val_dataloader = dict(
    dataset=dict(data_root=data_root + 'lld_40x/', subset=subset)
)
test_dataloader = val_dataloader
