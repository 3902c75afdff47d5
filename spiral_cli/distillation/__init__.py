"""What a student learns from its teacher: losses on outputs and features, and cached targets."""
