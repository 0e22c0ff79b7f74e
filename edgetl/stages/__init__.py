"""One adapter a stage: what it reads of the request, and the call that does the work."""
