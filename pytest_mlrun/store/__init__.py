"""Keep runs as Arrow files on disk, so that none is lost, doubled or altered."""
