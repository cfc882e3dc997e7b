_base_ = './ignore_lite0_fpn_synthetic-sparse.py'
exec(open('{{ fileDirname }}/../_base_/methods/sla-det.py').read())
