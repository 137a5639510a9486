"""Colours of what lines hold, to go with the theme. Colour is never the only signal."""

from typing import Any

from rich.style import Style
from textual.app import App
from textual.theme import Theme

HIGH_CONTRAST = Theme(
    name="high-contrast",
    primary="#ffff00",
    secondary="#00ffff",
    accent="#ffff00",
    warning="#ffaf00",
    error="#ff8787",
    success="#00ff00",
    foreground="#ffffff",
    background="#000000",
    surface="#000000",
    panel="#000000",
    dark=True,
    text_alpha=1.0,
    variables={"footer-key-foreground": "#ffff00", "footer-description-foreground": "#ffffff"},
)
"""White and yellow on black, nothing dimmed."""

_DARK = {
    "text": "#e4e4e4", "dim": "#8f8f8f", "blue": "#6fb7ff", "orange": "#ffb86b", "green": "#8fd98f",
    "purple": "#d9a0e8", "yellow": "#e0d26a", "red": "#ff8a8a", "ground": "#264059",
}  # fmt: skip
_LIGHT = {
    "text": "#1c1c1c", "dim": "#6a6a6a", "blue": "#0b5fad", "orange": "#a85400", "green": "#1f7a1f",
    "purple": "#8a2a9c", "yellow": "#7a6a00", "red": "#b3261e", "ground": "#cfe3f7",
}  # fmt: skip
_CONTRAST = {
    "text": "#ffffff", "dim": "#ffffff", "blue": "#00ffff", "orange": "#ffaf00", "green": "#00ff00",
    "purple": "#ff87ff", "yellow": "#ffff00", "red": "#ff8787",
}  # fmt: skip
_ROLES = {"user": "blue", "assistant": "orange", "tool": "green", "system": "purple"}


class Palette:
    """Styles for one kind of theme."""

    def __init__(self, colours: dict[str, str]) -> None:
        styles = {name: Style(color=colour) for name, colour in colours.items()}
        self.text = styles["text"]
        self.dim = styles["dim"]
        self.head = styles["yellow" if colours is _CONTRAST else "blue"] + Style(bold=True)
        self.good = styles["green"]
        self.warn = styles["yellow"]
        self.bad = styles["red"] + Style(bold=True)
        ground = colours.get("ground")
        self.cursor = Style(bgcolor=ground) if ground else Style(reverse=True)
        self.found = Style(reverse=True, bold=True)
        self.curves = [
            styles[name] for name in ("blue", "orange", "green", "purple", "yellow", "red")
        ]
        self._roles = {role: styles[colour] for role, colour in _ROLES.items()}

    def role(self, role: str) -> Style:
        """Of what a role says."""
        return self._roles.get(role, self.warn)

    def reward(self, reward: float | None) -> Style:
        """Of a reward."""
        if reward is None:
            return self.dim
        return self.good if reward >= 1 else self.bad if reward <= 0 else self.warn


_PALETTES = {"dark": Palette(_DARK), "light": Palette(_LIGHT), "contrast": Palette(_CONTRAST)}


def palette_of(app: App[Any]) -> Palette:
    """The palette that goes with the theme that `app` has now."""
    if app.theme == HIGH_CONTRAST.name:
        return _PALETTES["contrast"]
    return _PALETTES["dark" if app.current_theme.dark else "light"]
