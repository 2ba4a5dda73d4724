#!/bin/bash
# One job of er, in this allocation: it measures deployment e.
#SBATCH --job-name=er-ladder-e-UNIQUE
#SBATCH --comment=er-ladder-e-UNIQUE
#SBATCH --chdir=/home/me
#SBATCH --output=/home/me/runs/ladder/jobs/JOB/001/slurm.log
#SBATCH --open-mode=append
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --time=240
#SBATCH --signal=B:TERM@180
#SBATCH --requeue
#SBATCH --exclusive
#SBATCH --mem=0
#SBATCH --gpus-per-node=h100:8
#SBATCH hetjob
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --time=240
#SBATCH --exclusive
#SBATCH --mem=0

# Its folder: job.json says what is measured, slurm.log is what is printed here.
job=/home/me/runs/ladder/jobs/JOB/001
python=/home/me/er/.venv/bin/python

# A submission that Slurm's answer was lost of, and that was made anew, does nothing.
if [ -e "$job/withdrawn" ]; then
  echo "withdrawn: another submission does this job"
  exit 0
fi
rm -f "$job/ended.json" "$job/lost_nodes.json" # a requeued job has not ended
echo "   " >"$job/exit_code" # room for how it will have ended, even if the disk is full by then
echo "$SLURM_JOB_ID on $(hostname), started $(date -Is), restarts: ${SLURM_RESTART_COUNT:-0}"

# TERM (time limit, preemption, scancel) goes on to er, which lets the requests in flight end, for
# a while, and stops what it started. Before er has started, nothing is to be stopped.
er=
code=143
stopped=
trap 'stopped=1; [ -z "$er" ] || kill -TERM "$er" 2>/dev/null' TERM

end() { # with this code, kept for er.status
  printf '%-3s\n' "$1" 1<>"$job/exit_code"
  exit "$1"
}

# What the site asks for before er starts (cluster.setup). Without one of these lines er might run
# with another program or library than the site means, so a line that fails ends the job.
er_setup=(
)
setup_failed() {
  [ -n "$stopped" ] || echo "cluster.setup failed: $er_line (exit code $1)"
  er_line=
  [ -z "$stopped" ] || end 143
  end 1
}
trap '[ -z "$er_line" ] || setup_failed $?' EXIT # a line may call exit
for er_line in "${er_setup[@]}"; do
  eval "$er_line" || setup_failed $?
done
er_line=
set +eu # a line may have set them

# er as it was when the job was submitted, whatever has become of the checkout.
export PYTHONPATH=/home/me/runs/ladder/jobs/code/DIGEST${PYTHONPATH:+:$PYTHONPATH} PYTHONSAFEPATH=1 PYTHONUNBUFFERED=1

if [ -z "$stopped" ]; then
  "$python" -m er.run job=/home/me/runs/ladder/jobs/JOB/001/job.json &
  er=$!
  wait "$er"
  code=$?
  while kill -0 "$er" 2>/dev/null; do # a signal ends `wait`, not er
    wait "$er"
    code=$?
  done
fi

end "$code"
