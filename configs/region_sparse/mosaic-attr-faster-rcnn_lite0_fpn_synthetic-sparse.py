_base_ = '../baselines/ignore_lite0_fpn_synthetic-sparse.py'
exec(open('{{ fileDirname }}/../_base_/methods/mosaic.py').read())
