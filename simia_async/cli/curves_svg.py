"""Curves of a training run as an SVG picture that needs no font and nothing from elsewhere."""

from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, tostring

from simia_store import Reader, printable

from simia_async.cli.curves import Curve, curves_of
from simia_async.errors import UsageError
from simia_async.whole_files import write_whole

_COLUMNS = 2
_WIDTH, _HEIGHT = 380, 190
"""Of one plot with all around it, in pixels."""
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 14, 34, 26
"""What is around the plot itself."""
_HEADER = 34
_INK, _PALE, _LINE = "#333333", "#dddddd", "#1f6fb4"


def write_svg(path: Path, out: Path) -> None:
    """Draw the run at `path` into the SVG file `out`, which is there whole or not at all.

    Raises `StoreError` if there is no such run, and `UsageError` if it has measured nothing or
    the file cannot be written.
    """
    with Reader(path) as reader:
        curves = curves_of(reader)
        run = reader.run()
    if not curves or run is None:
        raise UsageError(f"--svg: {path} has no curves: no step of a training was measured")
    drawn = tostring(_picture(curves, printable(f"{run.kind}: {path.name}")), encoding="utf-8")
    try:
        write_whole(out, [drawn])
    except OSError as error:
        raise UsageError(f"--svg: {out} cannot be written: {error.strerror}") from error


def _picture(curves: list[Curve], title: str) -> Element:
    rows = -(-len(curves) // _COLUMNS)
    width, height = _COLUMNS * _WIDTH, _HEADER + rows * _HEIGHT
    picture = Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "viewBox": f"0 0 {width} {height}",
            "width": str(width),
            "height": str(height),
            "font-family": "sans-serif",
            "font-size": "12",
            "fill": _INK,
        },
    )
    SubElement(picture, "rect", {"width": "100%", "height": "100%", "fill": "white"})
    _write(picture, width / 2, 22, title, "middle")
    for number, curve in enumerate(curves):
        row, column = divmod(number, _COLUMNS)
        place = f"translate({column * _WIDTH},{_HEADER + row * _HEIGHT})"
        _draw(SubElement(picture, "g", {"transform": place}), curve)
    return picture


def _draw(group: Element, curve: Curve) -> None:
    _write(group, _WIDTH / 2, 20, curve.heading, "middle")
    for height, words in curve.marked_heights:
        y = _y(curve, height)
        line = {"x1": str(_LEFT), "x2": str(_WIDTH - _RIGHT), "y1": f"{y:.1f}", "y2": f"{y:.1f}"}
        SubElement(group, "line", {**line, "stroke": _PALE})
        _write(group, _LEFT - 6, y + 4, words, "end")
    for step in curve.marked_steps:
        _write(group, _x(curve, step), _HEIGHT - 8, str(step), "middle")
    points = [(_x(curve, step), _y(curve, value)) for step, value in curve.values.items()]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    SubElement(
        group,
        "polyline",
        {"points": path, "fill": "none", "stroke": _LINE, "stroke-width": "1.5"},
    )
    for x, y in points:
        SubElement(group, "circle", {"cx": f"{x:.1f}", "cy": f"{y:.1f}", "r": "2", "fill": _LINE})


def _write(parent: Element, x: float, y: float, words: str, anchor: str) -> None:
    place = {"x": f"{x:.1f}", "y": f"{y:.1f}", "text-anchor": anchor}
    SubElement(parent, "text", place).text = words


def _x(curve: Curve, step: float) -> float:
    low, high = curve.steps
    return _LEFT + (step - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT)


def _y(curve: Curve, height: float) -> float:
    low, high = curve.heights
    return _HEIGHT - _BOTTOM - (height - low) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)
