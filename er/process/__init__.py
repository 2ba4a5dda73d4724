"""Processes: started, watched and stopped, with all that they started."""
