"""Finish a build on the device it is for, over SSH: what is sent, what runs there, and what comes back."""
