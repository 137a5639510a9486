"""Screens of the dashboard, one module a screen."""
