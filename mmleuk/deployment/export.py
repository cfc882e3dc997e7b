# Copyright (c) mmleuk authors. All rights reserved.
import json
from pathlib import Path
from typing import Any, Mapping, Optional, Sequence, Union

import torch
from mmdet.models.detectors import TwoStageDetector
from mmdet.models.detectors.base import BaseDetector

from mmleuk.io.atomic_write import atomic_path
from mmleuk.optional_packages import import_optional

from .exportable_dense import ExportableDense
from .exportable_detector import ExportableDetector, predicting_part
from .exportable_two_stage import ExportableTwoStage
from .onnx_ops import OPSET, translation_table

OUTPUT_NAMES = ('boxes', 'scores', 'labels', 'attribute_probs')

# Pads an image of any size to tiles. It is added after the export, as
# torch.export can't know that a padded side is a multiple of the divisor.
_PREFIX = """
<ir_version: {ir_version}, opset_import: ["" : {opset}]>
to_tiles (uint8[1,3,height,width] image)
    => (uint8[1,3,rows,{divisor},columns,{divisor}] tiles,
        int64[2] image_shape)
{{
    image_shape = Shape <start = 2> (image)
    divisor = Constant <value_int = {divisor}> ()
    negative = Neg (image_shape)
    padding = Mod (negative, divisor)
    no_padding = Constant <value_ints = [0, 0, 0, 0, 0, 0]> ()
    pads = Concat <axis = 0> (no_padding, padding)
    padded = Pad (image, pads)
    padded_shape = Add (image_shape, padding)
    counts = Div (padded_shape, divisor)
    rows, columns = Split <num_outputs = 2> (counts)
    batch = Constant <value_ints = [1, 3]> ()
    side = Constant <value_ints = [{divisor}]> ()
    shape = Concat <axis = 0> (batch, rows, side, columns, side)
    tiles = Reshape (padded, shape)
}}
"""


def export_onnx(
    detector: BaseDetector,
    file: Union[str, Path],
    classes: Sequence[str],
    resize: Optional[dict] = None,
    metadata: Mapping[str, Any] = {},
    min_size: int = 96,
) -> None:
    """Export a detector as one ONNX graph, from pixels to cells.

    Inputs are ``image``, uint8, BGR, shape (1, 3, height, width), of any size
    from ``min_size`` on, and ``scale_factor``, float32, shape (2, ): pixels of
    the image for one of the original image, in x and in y. Outputs are
    ``boxes`` (n, 4) in pixels of the original image, ``scores`` (n, ) in
    falling order, ``labels`` (n, ) and, of a detector with attributes,
    ``attribute_probs`` (n, sum of values). The graph normalises and pads,
    and only has operators of the ONNX standard. Thresholds of
    score and NMS are those of the detector's ``test_cfg``.

    Args:
        detector (BaseDetector): The detector, on the CPU. See
            :class:`ExportableTwoStage` and :class:`ExportableDense` for the
            supported ones.
        file (str | Path): The file to write. Its folder is made.
        classes (Sequence[str]): Names of the cell types.
        resize (dict, optional): Config of the transform that resizes images
            in testing. Not the graph but :class:`OnnxDetector` applies it.
            None: images are not resized.
        metadata (Mapping[str, Any]): Further metadata of the file by name,
            strings or what JSON can hold.
        min_size (int): Minimum height and width of an image, in pixels of the
            network's input. Below 96 px the coarsest levels have a single
            pixel.

    Raises:
        ImportError: If onnx or onnxscript is missing.
        TypeError: If this type of detector can't be exported.
        ValueError: If its settings can't be exported, or the number of
            classes is not that of the detector.
    """
    onnx = import_optional('onnx', 'export to ONNX', 'onnx')
    # Used by torch.
    import_optional('onnxscript', 'export to ONNX', 'onnx')
    exportable = make_exportable(detector)
    if len(classes) != exportable.num_classes:
        raise ValueError(
            f'got the names of {len(classes)} cell types, expected '
            f'{exportable.num_classes}: {list(classes)}'
        )
    if min_size <= exportable.divisor:
        raise ValueError(
            f'got min_size={min_size}, expected more than '
            f'{exportable.divisor}, the pad_size_divisor of the data '
            'preprocessor: an exporter takes a single tile for a constant'
        )
    graph = _to_onnx(exportable, min_size)
    prefix = onnx.parser.parse_model(
        _PREFIX.format(
            ir_version=graph.ir_version,
            opset=OPSET,
            divisor=exportable.divisor,
        )
    )
    model = onnx.compose.merge_models(
        prefix,
        graph,
        io_map=[('tiles', 'tiles'), ('image_shape', 'image_shape')],
    )
    # Merging lists the one operator set twice.
    del model.opset_import[1:]
    model.graph.name = 'mmleuk'
    model.producer_name = 'mmleuk'
    metadata = dict(
        metadata,
        classes=list(classes),
        attributes=exportable.attributes,
        resize=resize,
        min_size=min_size,
        normalisation=dict(
            mean=exportable.mean.flatten().tolist(),
            std=exportable.std.flatten().tolist(),
            channels='RGB' if exportable.swaps_channels else 'BGR',
        ),
    )
    onnx.helper.set_model_props(
        model,
        {
            name: value if isinstance(value, str) else json.dumps(value)
            for name, value in metadata.items()
        },
    )
    onnx.checker.check_model(model, full_check=True)
    with atomic_path(file) as partial:
        onnx.save(model, partial)


def make_exportable(detector: BaseDetector) -> ExportableDetector:
    """Make the function of tensors that is exported.

    Args:
        detector (BaseDetector): The detector.

    Returns:
        ExportableDetector: A copy of its modules.

    Raises:
        TypeError: If this type of detector can't be exported.
        ValueError: If its settings can't be exported.
    """
    if isinstance(predicting_part(detector), TwoStageDetector):
        return ExportableTwoStage(detector)
    return ExportableDense(detector)


def _to_onnx(exportable: ExportableDetector, min_size: int) -> Any:
    """Export the network with both sides of the image dynamic."""
    side = exportable.divisor
    least = -(-min_size // side)
    # Sides that differ, so that the exporter does not take them for one.
    rows, columns = least + 1, least + 2
    # Not traced in torch.onnx.export: MMDetection takes other, outdated paths
    # during an export to ONNX.
    with torch.no_grad():
        program = torch.export.export(
            exportable,
            (
                torch.zeros(1, 3, rows, side, columns, side).byte(),
                torch.tensor([rows * side - 1, columns * side - 1]),
                torch.ones(2),
            ),
            dynamic_shapes=dict(
                tiles={
                    2: torch.export.Dim('rows', min=least),
                    4: torch.export.Dim('columns', min=least),
                },
                image_shape=None,
                scale_factor=None,
            ),
            strict=False,
        )
    names = OUTPUT_NAMES if exportable.has_attributes else OUTPUT_NAMES[:3]
    return torch.onnx.export(
        program,
        dynamo=True,
        opset_version=OPSET,
        custom_translation_table=translation_table(),
        input_names=['tiles', 'image_shape', 'scale_factor'],
        output_names=list(names),
        verbose=False,
    ).model_proto
