"""One REML fit by statsmodels, in its own environment: prints seconds and estimates as JSON."""

import json
import sys
import time
import warnings

import pandas as pd
import statsmodels.formula.api as smf

warnings.filterwarnings("ignore")

path, formula, random, group = sys.argv[1:5]
data = pd.read_csv(path)
start = time.perf_counter()
fit = smf.mixedlm(formula, data, groups=data[group], re_formula=random).fit(reml=True)
seconds = time.perf_counter() - start
print(json.dumps({"seconds": seconds, "loglik": float(fit.llf), "sigma": float(fit.scale**0.5)}))
