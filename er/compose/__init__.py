"""Turn a command line into checked jobs. Only this package uses Hydra."""

from er.compose.answers import show
from er.compose.job import Job, read_job
from er.compose.jobs import jobs_for, jobs_of, plan

__all__ = ["Job", "jobs_for", "jobs_of", "plan", "read_job", "show"]
