"""Commands of the pages that cannot run here as they stand, and why."""

NOT_RUN = {
    "git clone ADDRESS san-tuner": "the address is the reader's",
    "cd san-tuner": "the sandbox is where it leads",
    "make search": "it installs, from the network; the tutorial's search runs here in its place",
    "make test": "it is what runs this",
    ".venv/bin/python -m tuning.search --data s3://bucket/mine": "it needs a bucket; "
    "`tests/tuning/planning/test_plan.py` searches on data at file://",
    ".venv/bin/ray start --head": "it outlives whoever starts it; `tests/tuning/test_cluster.py` searches on a cluster",
    ".venv/bin/ray job submit --working-dir . -- python -m tuning.search --address auto --data /data/easy-vqa "
    "--run /data/runs/job": "it needs a cluster; `tests/tuning/test_hosts.py` submits jobs",
    "sbatch docs/cluster/search.sbatch": "there is no Slurm; `tests/tuning/test_hosts.py` runs what the script runs",
    "docker build -f docs/cluster/Dockerfile -t san-tuner .": "it downloads gigabytes",
    'docker run --rm --init --gpus all --shm-size 4g -v "$PWD:/work" san-tuner': "it needs the image",
    "kubectl apply -f docs/cluster/rayjob.yaml": "there is no Kubernetes",
    ".venv/bin/ray stop": "it would end every Ray of this machine",
    ".venv/bin/python -m san_core.prepare daquar-reduced --root daquar --encoder vgg19 --single-answers "
    "--out data/daquar-vgg19": "torchvision downloads VGG's weights, half a gigabyte",
}
"""Not run. Those of Python's must at least get through reading their arguments."""

REFUSED_WITHOUT = {
    ".venv/bin/python -m tuning.search --gpus-per-trial 0.25 --cohort 1 --trials 12 --run packed": "the GPUs there are",
}
"""Run, but they need what may be missing here; without it they must fail with these words."""
