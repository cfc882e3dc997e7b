# Copyright (c) mmleuk authors. All rights reserved.
"""Set-ups of labelling tools, made from the classes and attributes."""

import json
from typing import Any, Dict, List, Sequence
from xml.etree import ElementTree

from mmleuk.structures import AttributeSchema
from mmleuk.structures.metainfo import make_palette
from mmleuk.structures.record import normalise_name

from .attribute_names import IGNORED, NOT_STATED
from .readers.box_reader import REGION_LABEL

# Colour of the annotated region: no class has it, and it shows on a pale film.
REGION_COLOUR = '#000000'


def region_label_of(region_label: str, classes: Sequence[str]) -> str:
    """Return the label of annotated regions if it can be one.

    Raises:
        ValueError: If it is empty, or the name of a class.
    """
    name = normalise_name(region_label)
    if not name or name in map(normalise_name, classes):
        raise ValueError(
            f'the label of annotated regions is {region_label!r}, expected a '
            'name that no class has'
        )
    return region_label


def cvat_attributes(schema: AttributeSchema) -> List[Dict[str, Any]]:
    """Describe the attributes of a cell as CVAT does.

    Each is a list to choose from that starts at "not stated", because CVAT
    gives every new box the first value.

    Args:
        schema (AttributeSchema): The attributes.

    Returns:
        list[dict]: One for each attribute, and a tick box for ignored cells.
    """
    lists = [
        (attribute.title, 'select', [NOT_STATED, *attribute.values])
        for attribute in schema
    ]
    return [
        dict(
            name=name,
            mutable=False,
            input_type=kind,
            default_value=values[0],
            values=values,
        )
        for name, kind, values in [*lists, (IGNORED, 'checkbox', ['false'])]
    ]


def make_cvat_labels(
    schema: AttributeSchema,
    classes: Sequence[str],
    region_label: str = REGION_LABEL,
) -> str:
    """Make the labels of a CVAT task, for the tab "Raw" of its constructor.

    Args:
        schema (AttributeSchema): The attributes.
        classes (Sequence[str]): Names of the classes.
        region_label (str): Label of annotated regions.

    Returns:
        str: JSON.

    Raises:
        ValueError: If a class has the name of that label.
    """
    labels = [
        dict(name=name, color=colour, type='rectangle', attributes=attributes)
        for name, colour, attributes in (
            *(
                (name, colour, cvat_attributes(schema))
                for name, colour in _colour_classes(classes)
            ),
            (region_label_of(region_label, classes), REGION_COLOUR, []),
        )
    ]
    return f'{json.dumps(labels, indent=2)}\n'


def make_label_studio_config(
    schema: AttributeSchema,
    classes: Sequence[str],
    region_label: str = REGION_LABEL,
) -> str:
    """Make the labelling interface of a Label Studio project.

    The attributes show when a cell is selected; nothing is chosen at first.

    Args:
        schema (AttributeSchema): The attributes.
        classes (Sequence[str]): Names of the classes.
        region_label (str): Label of annotated regions.

    Returns:
        str: XML.

    Raises:
        ValueError: If a class has the name of that label, or a comma, which
            separates labels in Label Studio.
    """
    region_label = region_label_of(region_label, classes)
    if any(',' in name for name in classes):
        raise ValueError(
            f'the classes are {list(classes)}, expected names without a comma'
        )
    root = ElementTree.Element('View')

    def add(parent: ElementTree.Element, tag: str, **attributes: str):
        return ElementTree.SubElement(parent, tag, attributes)

    def add_choices(name: str, choice: str, values: Sequence[str]) -> None:
        choices = add(
            view,
            'Choices',
            name=name,
            toName='image',
            perRegion='true',
            choice=choice,
            showInline='true',
        )
        for value in values:
            add(choices, 'Choice', value=value)

    add(root, 'Image', name='image', value='$image', zoom='true')
    labels = add(
        root,
        'RectangleLabels',
        name='label',
        toName='image',
        canRotate='false',
    )
    add(labels, 'Label', value=region_label, background=REGION_COLOUR)
    for name, colour in _colour_classes(classes):
        add(labels, 'Label', value=name, background=colour)
    view = add(
        root,
        'View',
        visibleWhen='region-selected',
        whenLabelValue=','.join(classes),
    )
    for attribute in schema:
        add(view, 'Header', value=attribute.title, size='5')
        add_choices(attribute.name, 'single', attribute.values)
    add_choices(IGNORED, 'multiple', [IGNORED])
    ElementTree.indent(root)
    return f'{ElementTree.tostring(root, encoding="unicode")}\n'


def _colour_classes(classes: Sequence[str]) -> List[tuple]:
    """Pair each class with its colour as CSS writes it."""
    return [
        (name, '#{:02x}{:02x}{:02x}'.format(*colour))
        for name, colour in zip(classes, make_palette(classes))
    ]
