"""Ways to start a program in the TensorRT-LLM container: modules with the same interface.

PROGRAM             the program that must be on this machine's PATH; empty if none is needed
render(launch)      the command line that starts a launch
end(launch)         the command that ends a launch whose client is gone; empty if none is needed
"""
