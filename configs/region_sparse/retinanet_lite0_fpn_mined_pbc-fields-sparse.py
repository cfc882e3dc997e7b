_base_ = './retinanet_lite0_fpn_pbc-fields-sparse.py'
exec(open('{{ fileDirname }}/../_base_/methods/mined.py').read())
