"""Ways to transfer a backbone; each has ``prepare``, ``step`` and ``finish``, or works on features alone."""
