"""One bambi run, in its own environment: prints seconds and the smallest ESS as JSON."""

import json
import os
import sys
import time
import warnings

import pandas as pd

warnings.filterwarnings("ignore")

path, formula, groups, family, method, draws = sys.argv[1:7]
data = pd.read_csv(path)
for column in groups.split(","):
    data[column] = data[column].astype(str).astype("category")
if family == "cumulative":
    data["y"] = pd.Categorical(data["y"], ordered=True)

import arviz as az
import bambi as bmb

start, begun = time.perf_counter(), sum(os.times()[:4])
model = bmb.Model(formula, data, family=family)
idata = model.fit(
    draws=int(draws),
    tune=max(int(draws), 50),
    chains=4,
    inference_method=method,
    random_seed=1,
    progressbar=False,
)
# Processor time counts chains that are processes of their own.
seconds, cpu = time.perf_counter() - start, sum(os.times()[:4]) - begun
posterior = idata["posterior"].to_dataset()
# Parameters both report: not the offsets, and not the mean of each row.
wanted = [
    name
    for name in posterior.data_vars
    if not str(name).endswith(("_offset", "_raw")) and name != "mu"
]
ess = az.ess(posterior[wanted])
print(
    json.dumps(
        {
            "seconds": seconds,
            "cpu": cpu,
            "ess": min(float(ess[name].min()) for name in wanted),
            "divergences": float(idata["sample_stats"]["diverging"].sum()),
        }
    )
)
