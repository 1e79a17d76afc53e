"""Rights granted to the operator against rights that it used."""
