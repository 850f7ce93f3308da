"""What is known of a model's parameters: draws, or a normal distribution around a mode."""
