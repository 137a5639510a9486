"""The Textual dashboard. Reads the store; never imports torch or simia_async."""
