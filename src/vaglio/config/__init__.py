"""One TOML file, validated whole; every error names its place."""
