"""How Scout is run: the functions' declarations, the local cloud, the deployment."""
