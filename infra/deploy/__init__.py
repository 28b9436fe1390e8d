"""Deploying the functions to Google Cloud from the same declarations that the local cloud reads."""
