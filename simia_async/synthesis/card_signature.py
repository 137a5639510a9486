"""The last line of a dataset card, by which an export knows a card of its own.

It names the format of the data, and a checksum tells that nobody has edited the card since.
"""

import hashlib

from simia_async.synthesis.export_format import ExportFormat


def signed(card: str, format: ExportFormat) -> str:  # noqa: A002
    """The card with its last line, which no reader of the rendered Markdown sees."""
    checksum = hashlib.sha256(card.encode()).hexdigest()
    return (
        f"{card}\n<!-- exported by simia-async as {format}; SHA-256 of the above: {checksum} -->\n"
    )


def signed_format(card: str) -> ExportFormat | None:
    """The format that a card was signed with; None if it was not signed, or was edited since."""
    above = card.removesuffix("\n").rpartition("\n")[0]
    return next((each for each in ExportFormat if signed(above, each) == card), None)
