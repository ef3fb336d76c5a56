"""How QGIS draws polygons by default: in the colours of their classes, as a table in the GeoPackage says."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from samtailor.labels import LabelSpace

_ALPHA = 160  # of 255: the scene below shines through


def qgis_style(labels: LabelSpace) -> str:
    """A QGIS style (QML) that colours polygons by their `class_id`; the background has none."""
    qgis = ET.Element("qgis", styleCategories="Symbology")
    renderer = ET.SubElement(qgis, "renderer-v2", type="categorizedSymbol", attr="class_id")
    categories, symbols = ET.SubElement(renderer, "categories"), ET.SubElement(renderer, "symbols")
    classes = list(zip(labels.ids, labels.names, labels.palette, strict=True))
    for number, (identifier, name, colour) in enumerate(classes[1:]):
        ET.SubElement(
            categories,
            "category",
            {"value": str(identifier), "label": name, "symbol": str(number), "render": "true"},
        )
        symbol = ET.SubElement(symbols, "symbol", type="fill", name=str(number))
        options = ET.SubElement(ET.SubElement(symbol, "layer", {"class": "SimpleFill"}), "Option", type="Map")
        fill, line = (",".join(map(str, (*colour, alpha))) for alpha in (_ALPHA, 255))
        for key, value in (("color", fill), ("outline_color", line), ("outline_width", "0.2"), ("style", "solid")):
            ET.SubElement(options, "Option", name=key, type="QString", value=value)
    return ET.tostring(qgis, encoding="unicode")
