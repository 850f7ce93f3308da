# Writes glmm_predictions.json: predictions of glmmTMB 1.1.5 for rows of glmm.csv.
# Rscript tests/reference/glmm_predictions.R
suppressMessages({library(glmmTMB); library(TMB); library(Matrix); library(jsonlite)})
here <- dirname(sub("--file=", "", grep("--file=", commandArgs(), value = TRUE)))
data <- read.csv(file.path(here, "glmm.csv"), stringsAsFactors = TRUE)
rows <- c(1, 2, 3, 50, 123, 301, 444, 600)
tight <- glmmTMBControl(optCtrl = list(rel.tol = 1e-14, iter.max = 1000, eval.max = 1000))
one <- function(formula, family, ...) {
  fit <- glmmTMB(formula, data, family = family, control = tight, ...)
  at <- data[rows, ]
  new <- transform(at, g = factor(paste0("new", seq_along(rows))))
  both <- function(...) lapply(predict(fit, se.fit = TRUE, ...), unname)
  # Given theta, the covariance of (beta, b): that of b given beta, and the uncertainty of beta
  # (of all outer parameters together) carried on to b.
  Q <- sdreport(fit$obj, getJointPrecision = TRUE)$jointPrecision
  of <- function(name) which(rownames(Q) == name)
  C <- solve(Q)[of("beta"), of("beta")]
  Hb <- Q[of("b"), of("b")]
  J <- -solve(Hb, Q[of("b"), of("beta")])
  X <- getME(fit, "X")[rows, ]
  Z <- getME(fit, "Z")[rows, ]
  D <- X + Z %*% J
  variance <- rowSums((D %*% C) * D) + rowSums(t(solve(Hb, t(Z))) * Z)
  list(
    rows = rows - 1,
    link = both(newdata = at, type = "link"),
    response = both(newdata = at, type = "response"),
    population = both(newdata = at, type = "link", re.form = NA),
    population_response = both(newdata = at, type = "response", re.form = NA),
    new_group = both(newdata = new, type = "link", allow.new.levels = TRUE),
    given_theta = sqrt(as.numeric(variance)),
    pearson = unname(residuals(fit, type = "pearson")[rows])
  )
}
found <- list(
  poisson = one(count ~ x + (x | g) + (1 | h), poisson),
  binomial = one(cbind(k, trials - k) ~ x + (x | g) + (1 | h), binomial),
  negative_binomial = one(over ~ x + (x | g) + (1 | h), nbinom2)
)
write(toJSON(found, digits = 9, pretty = TRUE, auto_unbox = TRUE), file.path(here, "glmm_predictions.json"))
