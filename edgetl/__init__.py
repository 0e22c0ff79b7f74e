"""From a folder of labelled pictures to a verified INT8 engine for an edge device."""
