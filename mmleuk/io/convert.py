# Copyright (c) mmleuk authors. All rights reserved.
"""From any format that can be read to any that can be written."""

import os.path as osp
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict, List, Mapping, Optional, Sequence, Type

from mmengine import fileio

from mmleuk.io.readers.lld_json import NESTED_KEY, REGIONS_KEY, load_json
from mmleuk.io.readers.yolo_text import list_label_files
from mmleuk.structures import LLD_ATTRIBUTES, AttributeSchema
from mmleuk.structures.class_map import ClassMap, ClassMapConfig
from mmleuk.structures.metainfo import LLD_CLASSES
from mmleuk.structures.record import FieldRecord, normalise_name

from .class_mapping import map_classes
from .conversion_report import ConversionError, ConversionReport, list_counts
from .issue_log import IssueLog
from .readers import READERS, SparseTextReader, YoloTextReader
from .readers.box_reader import REGION_LABEL, BoxReader
from .readers.coco_reader import CocoReader
from .readers.cvat_reader import CvatReader
from .readers.label_studio_reader import LabelStudioReader
from .readers.predictions_reader import PredictionsReader
from .readers.voc_reader import VocReader
from .readers.yolo_reader import YoloReader, find_class_names
from .source_files import MAX_BYTES, ExportImages, read_bytes
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

# Keys of COCO that a record keeps, or that follow from what it keeps.
KEPT_KEYS = dict(
    images={'id', 'file_name', 'width', 'height', REGIONS_KEY},
    annotations={
        'id',
        'image_id',
        'category_id',
        'bbox',
        'area',
        'iscrowd',
        'ignore',
        NESTED_KEY,
    },
)


@dataclass
class ReadSettings:
    """How a source is read.

    Args:
        images (str): Folder of the images.
        schema (AttributeSchema): The attributes.
        attribute_map (Mapping, optional): See :class:`AttributeNames`; for
            formats that state attributes by name. Defaults to None.
        region_label (str): See :class:`BoxReader`.
        unmarked (str): See :class:`BoxReader`. Defaults to 'auto'.
        region_order (str): See :class:`SparseTextReader`. Defaults to 'auto'.
        names_file (str, optional): See :func:`find_class_names`.
        voc_origin (int): See :class:`VocReader`. Defaults to 0.
        image_key (str): See :class:`LabelStudioReader`. Defaults to 'image'.
        annotator (str, optional): See :class:`LabelStudioReader`.
        min_score (float): See :class:`PredictionsReader`. Defaults to 0.
        max_bytes (int): Largest file to read. Defaults to ``MAX_BYTES``.
    """

    images: str
    schema: AttributeSchema
    attribute_map: Optional[Mapping] = None
    region_label: str = REGION_LABEL
    unmarked: str = 'auto'
    region_order: str = 'auto'
    names_file: Optional[str] = None
    voc_origin: int = 0
    image_key: str = 'image'
    annotator: Optional[str] = None
    min_score: float = 0.0
    max_bytes: int = MAX_BYTES


def _read_boxes(
    reader_class: Type[BoxReader], *options: str
) -> Callable[[str, ReadSettings, ConversionReport], List[FieldRecord]]:
    """Make the function that reads an export by a :class:`BoxReader`."""

    def read(
        source: str, settings: ReadSettings, report: ConversionReport
    ) -> List[FieldRecord]:
        names = {'voc_origin': 'origin'}
        reader = reader_class(
            settings.schema,
            ExportImages(settings.images),
            issues=report.issues,
            region_label=settings.region_label,
            unmarked=settings.unmarked,
            attribute_map=settings.attribute_map,
            max_bytes=settings.max_bytes,
            **{
                names.get(name, name): getattr(settings, name)
                for name in options
            },
        )
        fields = reader.read(source)
        report.num_in = report.issues.seen['annotations']
        report.unread.update(reader.names.unread)
        return fields

    return read


def _read_coco(
    source: str, settings: ReadSettings, report: ConversionReport
) -> List[FieldRecord]:
    """Read COCO with attributes by name."""
    read_bytes(source, settings.max_bytes)
    reader = CocoReader(
        settings.schema,
        ExportImages(settings.images),
        issues=report.issues,
        attribute_map=settings.attribute_map,
    )
    fields = reader.read(source)
    report.unread.update(reader.names.unread)
    _count_json(source, settings, report)
    return fields


def _read_lld(
    name: str,
) -> Callable[[str, ReadSettings, ConversionReport], List[FieldRecord]]:
    """Make the function that reads one of LLD's formats."""
    reader_class = READERS[name]

    def read(
        source: str, settings: ReadSettings, report: ConversionReport
    ) -> List[FieldRecord]:
        options = {}
        if issubclass(reader_class, SparseTextReader):
            options['region_order'] = settings.region_order
        is_text = issubclass(reader_class, YoloTextReader)
        if not is_text:
            read_bytes(source, settings.max_bytes)
        fields = reader_class(
            settings.schema,
            ExportImages(settings.images),
            issues=report.issues,
            **options,
        ).read(source)
        count = _count_rows if is_text else _count_json
        count(source, settings, report)
        return fields

    return read


def _read_yolo(
    source: str, settings: ReadSettings, report: ConversionReport
) -> List[FieldRecord]:
    """Read plain YOLO labels."""
    fields = YoloReader(
        settings.schema,
        ExportImages(settings.images),
        issues=report.issues,
        classes=find_class_names(
            source, settings.names_file, settings.max_bytes
        ),
    ).read(source)
    _count_rows(source, settings, report)
    return fields


def _count_rows(
    source: str, settings: ReadSettings, report: ConversionReport
) -> None:
    """Count the rows of label files, apart from their reader."""
    for path in list_label_files(source).values():
        lines = fileio.get(path).decode('utf-8', 'replace').splitlines()
        # A byte order mark is no row.
        report.num_in += sum(bool(line.strip('\ufeff \t')) for line in lines)
    skipped = report.num_in - report.issues.seen['annotations']
    if skipped:
        report.dropped['rows of label files that were not read'] += skipped


def _count_json(
    source: str, settings: ReadSettings, report: ConversionReport
) -> None:
    """Count annotations and unknown keys of COCO, apart from its reader."""
    content = load_json(source, issues=IssueLog())
    report.num_in += len(content['annotations'])
    kept = {key: set(keys) for key, keys in KEPT_KEYS.items()}
    for attribute in settings.schema:
        kept['annotations'] |= {attribute.name, attribute.json_key}
    for key, keys in kept.items():
        for item in filter(lambda item: isinstance(item, dict), content[key]):
            # An empty value, such as COCO's `segmentation: []`, says nothing.
            report.unread.update(
                f'{name!r} of {key}'
                for name in set(item) - keys
                if item[name] not in (None, '', [], {})
            )


SOURCE_FORMATS: Dict[
    str, Callable[[str, ReadSettings, ConversionReport], List[FieldRecord]]
] = {
    'json': _read_lld('json'),
    'nested_json': _read_lld('json'),
    'sparse_json': _read_lld('sparse_json'),
    'text': _read_lld('text'),
    'sparse_text': _read_lld('sparse_text'),
    'coco': _read_coco,
    'voc': _read_boxes(VocReader, 'voc_origin'),
    'yolo': _read_yolo,
    'cvat': _read_boxes(CvatReader),
    'label_studio': _read_boxes(LabelStudioReader, 'image_key', 'annotator'),
    'predictions': _read_boxes(PredictionsReader, 'min_score'),
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
    if not fileio.exists(source):
        raise FileNotFoundError(f'{source}: no annotations are there')
    fields = SOURCE_FORMATS[source_format](source, settings, report)
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
        classes (Sequence[str]): Classes of the target. Defaults to LLD's.
        class_map (str | Mapping, optional): What the classes of the source
            become, see :class:`ClassMap`. Defaults to None.
        allow_loss (bool): Whether what the target can't hold may be left out.
            Defaults to False.
        options (dict): Further arguments of the writer.

    Returns:
        ConversionReport: What went in and came out.

    Raises:
        AnnotationError: If a record can't be understood.
        ConversionError: If the target does not have a class, can't hold
            something, or can't be written.
        FileNotFoundError: If annotations or images are not there.
    """
    _check_target(source, target)
    report = ConversionReport()
    fields = read_fields(source, source_format, settings, report)
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


def _check_target(source: str, target: str) -> None:
    """Refuse to write over what is read."""
    if osp.exists(source) and osp.exists(target):
        if Path(source).samefile(target):
            raise ConversionError(
                f'{target} is the source, expected another place to write to'
            )


def default_schema() -> AttributeSchema:
    """Make the schema of LLD.

    Returns:
        AttributeSchema: Its seven attributes.
    """
    return AttributeSchema(LLD_ATTRIBUTES)
