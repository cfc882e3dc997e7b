_base_ = './ignore_lite0_fpn_bccd-fields-sparse.py'
exec(open('{{ fileDirname }}/../_base_/methods/self-training.py').read())
self_training['labeller'] = 'crop_lite0_fpn_bccd-fields-sparse.py'
