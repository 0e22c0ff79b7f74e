"""Quantization: what each target wants, what a graph's activations look like, and where Q/DQ pairs go."""
