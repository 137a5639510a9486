"""The headless server: runs are submitted to it, watched and steered from elsewhere."""
