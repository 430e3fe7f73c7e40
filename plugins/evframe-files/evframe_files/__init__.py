"""Files of state: private, locked, replaced as a whole, with a version, and read page by page when damaged."""
