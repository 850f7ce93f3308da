# One REML fit by glmmTMB or mgcv: prints seconds of processor time and the log-likelihood as JSON.
arguments <- commandArgs(trailingOnly = TRUE)
data <- read.csv(arguments[2])
for (group in strsplit(arguments[4], ",")[[1]]) data[[group]] <- factor(data[[group]])
if (arguments[1] == "glmmTMB") {
  suppressMessages(library(glmmTMB))
  if ("occasion" %in% names(data)) data$time <- factor(data$occasion)
  if ("lon" %in% names(data)) data$place <- numFactor(data$lon, data$lat)
  start <- sum(proc.time()[1:2])
  fit <- glmmTMB(as.formula(arguments[3]), data, REML = TRUE)
} else {
  suppressMessages(library(mgcv))
  start <- sum(proc.time()[1:2])
  fit <- gam(as.formula(arguments[3]), data = data, method = "REML")
}
seconds <- sum(proc.time()[1:2]) - start
loglik <- if (arguments[1] == "glmmTMB") as.numeric(logLik(fit)) else -as.numeric(fit$gcv.ubre)
cat(sprintf('{"seconds": %.4f, "loglik": %.6f}\n', seconds, loglik))
