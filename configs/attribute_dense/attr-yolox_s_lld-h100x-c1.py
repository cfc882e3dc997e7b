_base_ = '../mmdet/yolox_s_lld-h100x-c1.py'

from mmleuk.configs import attributes

# Its mosaics and blends join cells of several scales, so that the size of a
# box says nothing of that of the cell.
model = attributes(_base_, box_size_unit=None)
