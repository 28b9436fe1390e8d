"""What Scout pulls of Stripe, and how its objects become documents."""
