_base_ = './ignore_lite0_fpn_pbc-fields-sparse.py'

# 12 epochs of 22 steps.
max_iters = 264
exec(open('{{ fileDirname }}/../_base_/methods/soft-teacher.py').read())
