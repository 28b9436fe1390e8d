"""Bringing tables that exist to what is declared now: add as NULLABLE, fill, use, and require by copy."""
