"""Which backbone is worth training: transferability on the user's data, against latency on the user's device."""
