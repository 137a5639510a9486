"""Widgets of the dashboard, one module a widget. They know nothing of runs."""
