"""The engines that can stand behind Triton: which models a deployment needs, as plain values."""
