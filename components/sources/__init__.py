"""Where rows come from: one module per format, each with ``read(place, data, scratch) -> Snapshot``."""
