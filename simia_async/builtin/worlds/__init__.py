"""The scripted worlds: one TOML file each, one engine for all, and the tasks drawn in them."""
