"""Migrations. `store/schema.py` runs them; found by this package's place, whatever the working directory."""
