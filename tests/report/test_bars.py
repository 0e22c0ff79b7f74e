"""The bar chart: one bar a row, text that XML takes, and a scale that the longest bar sets."""

from __future__ import annotations

from xml.etree import ElementTree

from edgetl.report.bars import bars

SPACE = "{http://www.w3.org/2000/svg}"


def test_bars_are_as_long_as_their_numbers() -> None:
    drawn = ElementTree.fromstring(
        bars("a & b", [("<one>", 0.5, "50 %"), ("two", 0.25, "25 %"), ("none", 0.0, "")])
    )
    rows = drawn.findall(f"{SPACE}rect")[1:]
    lengths = [float(row.attrib["width"]) for row in rows]
    assert lengths[0] == 2 * lengths[1]
    assert lengths[2] == 0
    texts = [text.text for text in drawn.findall(f"{SPACE}text")]
    assert "a & b" in texts
    assert "<one>" in texts


def test_nothing_to_draw_is_a_chart_without_bars() -> None:
    assert len(ElementTree.fromstring(bars("nothing", [])).findall(f"{SPACE}rect")) == 1


def test_a_long_name_keeps_its_ends() -> None:
    name = f"start{'x' * 80}end"
    texts = [
        text.text or ""
        for text in ElementTree.fromstring(bars("", [(name, 1.0, "")])).findall(f"{SPACE}text")
    ]
    assert any(text.startswith("start") and text.endswith("end") and len(text) <= 40 for text in texts)
