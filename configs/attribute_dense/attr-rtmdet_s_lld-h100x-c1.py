_base_ = '../mmdet/rtmdet_s_lld-h100x-c1.py'

from mmleuk.configs import attributes

# Its mosaics and blends join cells of several scales, so that the size of a
# box says nothing of that of the cell.
model = attributes(_base_, box_size_unit=None)
# Whole tiles can be exported to ONNX; a field of 640 px is one.
model.update(data_preprocessor=dict(pad_size_divisor=32))
