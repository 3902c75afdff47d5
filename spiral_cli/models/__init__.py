"""Models: one file a family, keras.applications by name, a person's own file or function."""
