# Writes r2.json: Nakagawa's R2 by hand from glmmTMB's fits to glmm.csv, lambda the mean response.
# Rscript tests/reference/r2.R
suppressMessages({library(glmmTMB); library(jsonlite)})
here <- dirname(sub("--file=", "", grep("--file=", commandArgs(), value = TRUE)))
data <- read.csv(file.path(here, "glmm.csv"), stringsAsFactors = TRUE)
tight <- glmmTMBControl(optCtrl = list(rel.tol = 1e-14, iter.max = 1000, eval.max = 1000))
one <- function(formula, family, y, residual) {
  fit <- glmmTMB(formula, data, family = family, control = tight)
  X <- model.matrix(fit)
  fixed <- var(as.vector(X %*% fixef(fit)$cond))
  groups <- sapply(VarCorr(fit)$cond, function(S) {
    Z <- X[, rownames(S), drop = FALSE]
    sum(diag(Z %*% S %*% t(Z))) / nrow(Z)
  })
  between <- sum(groups)
  lapply(residual(mean(y), sigma(fit)), function(e) list(
    r2 = c(fixed, fixed + between) / (fixed + between + e),
    icc = unname(groups / (between + e))
  ))
}
three <- function(v) list(lognormal = log1p(v), delta = v, trigamma = trigamma(1 / v))
same <- function(v) list(lognormal = v, delta = v)
f <- function(left) as.formula(paste(left, "~ x + (x | g) + (1 | h)"))
found <- list(
  poisson = one(f("count"), poisson, data$count, function(m, s) three(1 / m)),
  "poisson sqrt" = one(count ~ x + (1 | g), poisson(link = "sqrt"), data$count,
                       function(m, s) same(0.25)),
  binomial = one(f("cbind(k, trials - k)"), binomial, data$k, function(m, s) same(pi^2 / 3)),
  "binomial probit" = one(f("cbind(k, trials - k)"), binomial(link = "probit"), data$k,
                          function(m, s) same(1)),
  "bernoulli cloglog" = one(bin ~ x + (1 | g), binomial(link = "cloglog"), data$bin,
                            function(m, s) same(pi^2 / 6)),
  negative_binomial = one(f("over"), nbinom2, data$over, function(m, s) three(1 / m + 1 / s)),
  gamma = one(f("pos"), Gamma(link = "log"), data$pos, function(m, s) three(s^2)),
  beta = one(f("frac"), beta_family(), data$frac,
             function(m, s) same(1 / (m * (1 - m) * (1 + s))))
)
write(toJSON(found, digits = 9, pretty = TRUE), file.path(here, "r2.json"))
