"""`make demo`: existing plaintext volumes become encrypted while they are written to."""
