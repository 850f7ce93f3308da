# One REML fit by lme4: prints seconds and estimates as JSON.
arguments <- commandArgs(trailingOnly = TRUE)
suppressMessages(library(lme4))
data <- read.csv(arguments[1])
for (group in strsplit(arguments[3], ",")[[1]]) data[[group]] <- factor(data[[group]])
start <- proc.time()[["elapsed"]]
fit <- lmer(as.formula(arguments[2]), data, REML = TRUE)
seconds <- proc.time()[["elapsed"]] - start
cat(sprintf('{"seconds": %.4f, "loglik": %.6f, "sigma": %.6f}\n', seconds,
            as.numeric(logLik(fit)), sigma(fit)))
