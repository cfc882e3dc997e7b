_base_ = './ignore_lite0_fpn_synthetic-sparse.py'

# 18 epochs of 15 steps.
max_iters = 270
exec(open('{{ fileDirname }}/../_base_/methods/soft-teacher.py').read())
