"""The soak: everything runs for a long time, is hurt again and again, and must neither grow, lose nor stay hurt."""
