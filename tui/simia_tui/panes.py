"""Which panes there are, by number. Each is imported when it is opened first."""

from importlib import import_module

import msgspec

from simia_tui.pane import Pane


class PaneEntry(msgspec.Struct, frozen=True):
    """A pane: its names, and the module and class that it is."""

    name: str
    short: str
    """Its name where there is little room."""
    kind: str

    def load(self) -> Pane:
        """A new pane."""
        module = import_module(f"simia_tui.screens.{self.name.lower()}")
        pane: Pane = getattr(module, self.kind)(id=self.name.lower())
        return pane


PANES = (
    PaneEntry("Overview", "Overview", "Overview"),
    PaneEntry("Rollouts", "Rollouts", "Rollouts"),
    PaneEntry("Transcript", "Transcript", "Transcript"),
    PaneEntry("Groups", "Groups", "Groups"),
    PaneEntry("Training", "Train", "Training"),
    PaneEntry("Endpoints", "Endpoints", "Endpoints"),
    PaneEntry("Errors", "Errors", "Errors"),
    PaneEntry("Simulator", "Sim", "SimulatorPane"),
)
OVERVIEW, ROLLOUTS, TRANSCRIPT, GROUPS, TRAINING, ENDPOINTS, ERRORS, SIMULATOR = range(1, 9)
