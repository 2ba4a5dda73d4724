"""Where jobs run: this machine, or a site with Slurm."""
