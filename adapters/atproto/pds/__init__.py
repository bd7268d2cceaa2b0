"""Our own PDS: the repositories of all that are bridged, kept and served."""
