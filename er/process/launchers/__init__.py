"""Ways to start a program in the TensorRT-LLM container: one module each, of one shape.

PROGRAM             what must be on the path of this machine; empty for none
render(launch)      the command line
end(launch)         a command that ends what was started though its client is gone; empty for none
"""
