"""Files that cannot be read here: what they are, judged by their first bytes or fields, and what to export instead."""

import re
from typing import Any

UTF_16 = "JSON in UTF-16; save it as UTF-8"
STARTS: list[tuple[bytes, str]] = [
    (b"%PDF", "a PDF; export the page as SVG or PNG"),
    (b"%!PS", "PostScript; export it as SVG or PNG"),
    (b"\xc5\xd0\xd3\xc6", "EPS; export it as SVG or PNG"),
    (b"8BPS", "a Photoshop document; export it as PNG"),
    (b"gimp xcf", "a GIMP image; export it as PNG"),
    (b"RIFF....UINK", "Wacom's Universal Ink; export it as InkML or SVG"),
    (b"fig-kiwi", "a Figma document; export the frame as SVG"),
    (b"AC10", "an AutoCAD drawing (DWG); export it as SVG"),
    (b"IN;", "HP-GL; export it as SVG"),
    (b"\xd0\xcf\x11\xe0", "an old Office document; export the drawing as PNG or SVG"),
    (b"SQLite format 3", "an SQLite database; export the drawing from its program as SVG or PNG"),
    (b"bplist", "a property list of Apple's; export the drawing from its program as PNG or PDF, then as SVG"),
    (b"\x1a\x45\xdf\xa3", "a video; save a picture of it"),
    (b"....ftypqt", "a video; save a picture of it"),
    (b"....ftypisom", "a video; save a picture of it"),
    (b"....ftypmp4", "a video; save a picture of it"),
    (b"....ftypavif", "an AVIF picture; save it as PNG"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 picture; save it as PNG"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 picture; save it as PNG"),
    (b"\0\0\1\0", "an icon of Windows (ICO); save it as PNG"),
    (b"\n\2\1\1", "a PCX picture; save it as PNG"),
    (b"\n\5\1\1", "a PCX picture; save it as PNG"),
    (b"\n\5\1\x08", "a PCX picture; save it as PNG"),
    (b"\x76\x2f\x31\x01", "an OpenEXR picture; save it as PNG"),
    (b"\xff\x0a", "a JPEG XL picture; save it as PNG"),
    (b"\xff\xfe{\0", UTF_16),
    (b"\xff\xfe[\0", UTF_16),
    (b"\xfe\xff\0{", UTF_16),
    (b"\xfe\xff\0[", UTF_16),
    (b"  0\r\nSECTION", "an AutoCAD drawing (DXF); export it as SVG"),
    (b"0\nSECTION", "an AutoCAD drawing (DXF); export it as SVG"),
    (b"\xd7\xcd\xc6\x9a", "a Windows metafile (WMF); export it as SVG"),
    (b"RIFF....CDR", "a CorelDRAW document; export it as SVG"),
    (b"CSFCHUNK", "a Clip Studio document; export it as PNG"),
    (b"\0\xffKA", "an Affinity document; export it as SVG or PNG"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL picture; save it as PNG"),
    (b"reMarkable .lines", "a reMarkable page; export it as SVG or PNG"),
    (b"7z\xbc\xaf", "a 7z archive; unpack it"),
    (b"Rar!", "a RAR archive; unpack it"),
    (b"\xfd7zXZ", "an xz archive; unpack it"),
    (b"BZh", "a bzip2 archive; unpack it"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive; unpack it"),
]
# TGA has no mark at its start, but few values fit its fields: the types of the colour map and of the picture, the bits
# of a colour in the map (all zero without one) and of a pixel.
TGA = re.compile(
    rb".(\x00[\x02\x03\x0a\x0b]\x00{5}|\x01[\x01\x09].{4}[\x0f\x10\x18\x20]).{8}[\x01\x08\x0f\x10\x18\x20]", re.DOTALL
)
MARKUP: list[tuple[bytes, str]] = [
    (rb"<!doctype html|<html", "a web page; save the picture on it"),
    (rb"<xournal", "a Xournal++ document; export it as SVG or PNG"),
    (rb"<whiteboardcapturesession", "handwriting of IAM-OnDB; convert it to InkML"),
    (rb"<mxfile|<mxgraphmodel", "a draw.io diagram; export it as SVG"),
    (rb"<office:document", "an OpenDocument drawing; export it as SVG"),
    (rb"<annotation>\s*<(folder|filename)", "boxes of a picture (Pascal VOC); give the picture"),
    (rb"<kml|<gpx", "a map; export it as SVG"),
    (rb"<tldraw", "what was copied from tldraw as a web page; save the file or export SVG"),
]
ZIPS: list[tuple[str, str]] = [
    ("word/", "a Word document"),
    ("ppt/", "a PowerPoint presentation"),
    ("xl/", "an Excel table"),
    ("Document.archive", "a Procreate document"),
    ("maindoc.xml", "a Krita document"),
    ("mergedimage.png", "an OpenRaster document"),
    ("document.json", "a Sketch document"),
    ("content.xml", "an OpenDocument file"),
    ("visio/", "a Visio diagram"),
    ("index.notes.pb", "a GoodNotes document"),
    ("Index/", "an Apple iWork document"),
    ("Index.zip", "an Apple iWork document"),
]
FIELDS: list[tuple[frozenset[str], str]] = [
    (frozenset({"nbformat"}), "a Jupyter notebook; save the picture that it shows"),
    (frozenset({"images", "annotations"}), "annotations in COCO's format; give the pictures"),
    (frozenset({"features"}), "GeoJSON; export it as SVG"),
    (frozenset({"layers", "fr", "w", "h"}), "a Lottie animation; export a picture of it as SVG"),
    (frozenset({"objects", "version"}), "a canvas of Fabric.js; export it by toSVG()"),
    (frozenset({"colors", "shapes", "imageSize"}), "a snapshot of Literally Canvas; export it by getSVGString()"),
    (frozenset({"shapes", "imagePath"}), "annotations of labelme; give the pictures"),
    (frozenset({"className", "children"}), "a stage of Konva; export it by toDataURL()"),
    (frozenset({"document", "schemaVersion"}), "a Figma file; export the frame as SVG"),
    (frozenset({"predictions"}), "answers of visketch; give the drawings"),
    (frozenset({"json_class"}), "a program's settings; give a drawing"),
]
KNOWN = "drawings in JSON are strokes ([[[x...], [y...]], ...]), QuickDraw's records, Excalidraw and tldraw"


def start(head: bytes) -> str | None:
    """What a file with these first bytes is, and what to do about it. Returns None if it may be readable."""
    for mark, what in STARTS:
        if re.match(re.escape(mark).replace(rb"\.\.\.\.", b".{4}"), head, re.DOTALL):
            return what
    if TGA.match(head):
        return "a TGA picture; save it as PNG"
    if head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<":
        return next((what for mark, what in MARKUP if re.search(mark, head.lower())), None)
    if b"excalidraw-plugin" in head:
        return "a note of Obsidian's Excalidraw; export the drawing as .excalidraw or SVG"
    return None


def zip(names: list[str]) -> str | None:
    """What an archive with these file names is, and what to do about it. Returns None if it is unknown."""
    for mark, what in ZIPS:
        if any(name.startswith(mark) for name in names):
            return f"{what}; export the drawing as SVG or PNG"
    return None if any(name.endswith(".npy") for name in names) else "a ZIP archive; unpack it"


def json(document: dict[str, Any]) -> str:
    """What a JSON document without a drawing is, and what to do about it."""
    for fields, what in FIELDS:
        if fields <= document.keys():
            return what
    return f"JSON, but not a known form of drawing; {KNOWN}"
