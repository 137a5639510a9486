"""Stored text made safe to print. Text from models and servers is data, never instructions to a
terminal.
"""

_PICTURES = {code: 0x2400 + code for code in range(0x20) if chr(code) not in "\n\t"}
_PICTURES |= {0x7F: 0x2421} | dict.fromkeys(range(128, 160), 65533)


def printable(text: str) -> str:
    """`text` with control characters shown as pictures (ESC as ␛), so that none takes effect."""
    return text.translate(_PICTURES)
