"""What a tenant publishes and wants to be found for: content pieces and keywords."""
