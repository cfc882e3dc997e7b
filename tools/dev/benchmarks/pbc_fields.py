# Copyright (c) mmleuk authors. All rights reserved.
"""Compare our detector with AttriDet and plain MMDetection on ``pbc_fields``.

``compare_configs.py`` on these configs, with its options (``--seeds`` and so
on).
"""

import compare_configs

CONFIGS = (
    'configs/attribute_rcnn/attr-faster-rcnn_lite0_fpn_pbc-fields.py',
    'configs/attribute_rcnn/attridet-faster-rcnn_lite0_fpn_pbc-fields.py',
    'configs/baselines/faster-rcnn_lite0_fpn_pbc-fields.py',
)


if __name__ == '__main__':
    compare_configs.main(CONFIGS, 'work_dirs/benchmark_pbc_fields')
