# Copyright (c) mmleuk authors. All rights reserved.
"""From any format that can be read to any that can be written."""

import os.path as osp
from dataclasses import dataclass
from typing import Dict, List, Mapping, Optional, Sequence, Tuple, Type

from mmleuk.structures import AttributeSchema
from mmleuk.structures.class_map import ClassMap, ClassMapConfig
from mmleuk.structures.metainfo import LLD_CLASSES
from mmleuk.structures.record import FieldRecord, normalise_name

from .class_mapping import map_classes
from .conversion_report import ConversionError, ConversionReport, list_counts
from .image_folder import ExportImages, ImageFolder
from .readers import (
    BaseReader,
    JsonReader,
    SparseJsonReader,
    SparseTextReader,
    YoloTextReader,
)
from .readers.box_reader import REGION_LABEL, BoxReader
from .readers.coco_reader import CocoReader
from .readers.cvat_reader import CvatReader
from .readers.label_studio_reader import LabelStudioReader
from .readers.predictions_reader import PredictionsReader
from .readers.voc_reader import VocReader
from .readers.yolo_reader import YoloReader, find_class_names
from .source_files import MAX_BYTES, check_size
from .writers.base_writer import BaseWriter
from .writers.json_writers import (
    CocoWriter,
    JsonWriter,
    NestedJsonWriter,
    SparseJsonWriter,
)
from .writers.label_studio_writer import LabelStudioWriter
from .writers.text_writers import SparseTextWriter, TextWriter, YoloWriter
from .writers.xml_writers import CvatWriter, VocWriter

BOX_SETTINGS = ('region_label', 'unmarked', 'attribute_map', 'max_bytes')


@dataclass
class ReadSettings:
    """How a source is read.

    Args:
        images (str): Folder of the images.
        schema (AttributeSchema): The attributes.
        attribute_map (Mapping, optional): See :class:`AttributeNames`; for
            formats that state attributes by name.
        region_label (str): See :class:`BoxReader`.
        unmarked (str): See :class:`BoxReader`.
        region_order (str): See :class:`SparseTextReader`.
        columns (Sequence[str], optional): See :class:`YoloTextReader`.
        names_file (str, optional): See :func:`find_class_names`.
        voc_origin (int): See :class:`VocReader`.
        image_key (str): See :class:`LabelStudioReader`.
        annotator (str, optional): See :class:`LabelStudioReader`.
        min_score (float): See :class:`PredictionsReader`.
        max_bytes (int): Largest file to read.
    """

    images: str
    schema: AttributeSchema
    attribute_map: Optional[Mapping] = None
    region_label: str = REGION_LABEL
    unmarked: str = 'auto'
    region_order: str = 'auto'
    columns: Optional[Sequence[str]] = None
    names_file: Optional[str] = None
    voc_origin: int = 0
    image_key: str = 'image'
    annotator: Optional[str] = None
    min_score: float = 0.0
    max_bytes: int = MAX_BYTES


# The reader of each format, and the settings that are arguments of it.
SOURCE_FORMATS: Dict[str, Tuple[Type[BaseReader], Tuple[str, ...]]] = {
    'json': (JsonReader, ()),
    'nested_json': (JsonReader, ()),
    'sparse_json': (SparseJsonReader, ()),
    'text': (YoloTextReader, ('columns',)),
    'sparse_text': (SparseTextReader, ('columns', 'region_order')),
    'coco': (CocoReader, ('attribute_map',)),
    'voc': (VocReader, (*BOX_SETTINGS, 'voc_origin')),
    'yolo': (YoloReader, ()),
    'cvat': (CvatReader, BOX_SETTINGS),
    'label_studio': (
        LabelStudioReader,
        (*BOX_SETTINGS, 'image_key', 'annotator'),
    ),
    'predictions': (PredictionsReader, (*BOX_SETTINGS, 'min_score')),
}

TARGET_FORMATS: Dict[str, Type[BaseWriter]] = {
    'json': JsonWriter,
    'nested_json': NestedJsonWriter,
    'sparse_json': SparseJsonWriter,
    'text': TextWriter,
    'sparse_text': SparseTextWriter,
    'coco': CocoWriter,
    'voc': VocWriter,
    'yolo': YoloWriter,
    'cvat': CvatWriter,
    'label_studio': LabelStudioWriter,
}


def read_fields(
    source: str,
    source_format: str,
    settings: ReadSettings,
    report: ConversionReport,
) -> List[FieldRecord]:
    """Read annotations of any format.

    Args:
        source (str): The file or folder.
        source_format (str): A key of ``SOURCE_FORMATS``.
        settings (ReadSettings): How to read it.
        report (ConversionReport): Where cells, and what is left out, are
            counted.

    Returns:
        list[FieldRecord]: One record an image.

    Raises:
        AnnotationError: If a record can't be understood.
        FileNotFoundError: If annotations or images are not there.
    """
    if not osp.exists(source):
        raise FileNotFoundError(f'{source}: no annotations are there')
    reader_class, names = SOURCE_FORMATS[source_format]
    options = {
        name.removeprefix('voc_'): getattr(settings, name) for name in names
    }
    if reader_class is YoloReader:
        options['classes'] = find_class_names(
            source, settings.names_file, settings.max_bytes
        )
    if issubclass(reader_class, JsonReader):
        check_size(source, settings.max_bytes)
    is_foreign = issubclass(reader_class, (BoxReader, CocoReader))
    reader = reader_class(
        settings.schema,
        (ExportImages if is_foreign else ImageFolder)(settings.images),
        issues=report.issues,
        **options,
    )
    fields = reader.read(source)
    report.num_in = report.issues.seen['annotations'] + reader.num_skipped
    if reader.num_skipped:
        kind = 'rows of label files that were not read'
        report.dropped[kind] += reader.num_skipped
    report.unread.update(reader.unread)
    report.take_drops()
    return fields


def convert(
    source: str,
    target: str,
    source_format: str,
    target_format: str,
    settings: ReadSettings,
    classes: Sequence[str] = LLD_CLASSES,
    class_map: ClassMapConfig = None,
    allow_loss: bool = False,
    **options,
) -> ConversionReport:
    """Convert annotations.

    Nothing is written unless all of it can be.

    Args:
        source (str): The file or folder to read.
        target (str): The file or folder to write.
        source_format (str): A key of ``SOURCE_FORMATS``.
        target_format (str): A key of ``TARGET_FORMATS``.
        settings (ReadSettings): How to read the source.
        classes (Sequence[str]): Classes of the target.
        class_map (str | Mapping, optional): What the classes of the source
            become, see :class:`ClassMap`.
        allow_loss (bool): Whether what the target can't hold may be left out.
        options (dict): Further arguments of the writer.

    Returns:
        ConversionReport: What went in and came out.

    Raises:
        AnnotationError: If a record can't be understood.
        ConversionError: If no image can be used, or the target does not have
            a class, can't hold something, or can't be written.
        FileNotFoundError: If annotations or images are not there.
    """
    exist = osp.exists(source) and osp.exists(target)
    if exist and osp.samefile(source, target):
        raise ConversionError(
            f'{target} is the source, expected another place to write to'
        )
    report = ConversionReport()
    fields = read_fields(source, source_format, settings, report)
    if not fields:
        raise ConversionError(
            f'{source}: there is no image that can be used. '
            f'{report.issues.summary()}'
        )
    writer_class = TARGET_FORMATS[target_format]
    classes = [normalise_name(name) for name in classes]
    known = classes
    if writer_class.own_classes is not None:
        known = [name for name in classes if name in writer_class.own_classes]
        if not known:
            raise ConversionError(
                f'the format {target_format} holds the classes '
                f'{", ".join(writer_class.own_classes)} alone, got none of '
                f'them: {", ".join(classes)}'
            )
    try:
        fields = map_classes(fields, ClassMap(class_map), known, report)
    except ConversionError as error:
        raise ConversionError(f'{source}: {error}') from None
    writer = writer_class(settings.schema, classes, **options)
    fields = writer.fit(fields, report)
    if report.lost and not allow_loss:
        raise ConversionError(
            f'the format {target_format} can not hold '
            f'{list_counts(report.lost)} of {source}. Choose another format, '
            'or leave them out (--allow-loss)'
        )
    report.num_fields = len(fields)
    report.num_out = sum(len(field.cells) for field in fields)
    report.check()
    writer.write(fields, target, report)
    return report
