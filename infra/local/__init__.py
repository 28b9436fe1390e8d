"""The local cloud: every part of production as processes of this machine."""
