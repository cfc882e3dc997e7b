_base_ = './ignore_lite0_fpn_bccd-fields-sparse.py'

# 12 epochs of 38 steps.
max_iters = 456
exec(open('{{ fileDirname }}/../_base_/methods/soft-teacher.py').read())
