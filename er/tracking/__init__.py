"""Publishing runs to MLflow and reading them back."""
