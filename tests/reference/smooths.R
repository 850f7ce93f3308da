# Writes smooths.json:  cd tests/reference; Rscript smooths.R
# Made with R 4.2.2, mgcv 1.8-41 and jsonlite.
suppressMessages(library(mgcv))
set.seed(12)
n <- 120
d <- data.frame(x = round(runif(n, 2, 9), 3), z = round(rnorm(n), 3), v = round(runif(n), 3),
                f = sample(c("a", "b", "c"), n, TRUE), w = round(runif(n, -1, 2), 3))
d$y <- round(sin(d$x) + d$z^2 / 2 + d$w * cos(d$x) + (d$f == "b") * d$x / 4 + rnorm(n, 0, 0.4), 4)
d$f <- factor(d$f)
new <- data.frame(x = c(-1, 1.5, 2.5, 4, 6.1, 8.8, 9.3, 14), z = seq(-4, 4, length = 8),
                  v = seq(-0.3, 1.4, length = 8), f = factor(c("a", "b", "c", "a", "b", "c", "a", "b")),
                  w = seq(-1, 2, length = 8))

told <- function(fit) {
  p <- predict(fit, new, se.fit = TRUE)
  list(fitted = as.numeric(fitted(fit)), new = as.numeric(p$fit), se = as.numeric(p$se.fit),
       edf = sum(fit$edf), scale = fit$sig2)
}

# A fit at a fixed smoothing parameter. `lambda` multiplies the penalty before mgcv rescales it,
# `energy` is that penalty of the function found.
fixed <- function(term, sp) {
  fit <- gam(as.formula(paste("y ~", term)), data = d, sp = sp, method = "REML")
  sm <- fit$smooth[[1]]
  b <- coef(fit)[sm$first.para:sm$last.para]
  c(told(fit), list(term = term, lambda = as.numeric(sp / sm$S.scale),
    energy = sapply(seq_along(sm$S), function(i) sum(b * (sm$S[[i]] %*% b)) * sm$S.scale[i])))
}

optimal <- function(formula)
  c(told(gam(as.formula(formula), data = d, method = "REML",
             control = gam.control(epsilon = 1e-10))), list(formula = formula))

jsonlite::write_json(list(
  data = as.list(d), new = as.list(new),
  fixed = list(
    cr = fixed("s(x, bs = 'cr', k = 12)", 0.3),
    ps = fixed("s(x, bs = 'ps', k = 12)", 0.3),
    ps_other = fixed("s(x, bs = 'ps', k = 9, m = c(1, 1))", 0.3),
    ps_third = fixed("s(x, bs = 'ps', k = 14, m = c(3, 3))", 2),
    tp = fixed("s(x, k = 12)", 0.3),
    tp_first = fixed("s(x, k = 12, m = 1)", 0.3),
    tp_third = fixed("s(x, k = 12, m = 3)", 0.3),
    tp_plane = fixed("s(x, z, k = 25)", 0.02),
    tp_space = fixed("s(x, z, v, k = 20)", 0.02),
    fs = fixed("s(x, f, bs = 'fs', k = 6)", c(0.2, 0.7, 0.7)),
    by_number = fixed("s(x, by = w, bs = 'cr', k = 8)", 0.2)),
  optimal = list(
    cr = optimal("y ~ s(x, bs = 'cr') + z"),
    ps = optimal("y ~ s(x, bs = 'ps') + s(z, bs = 'ps')"),
    tp = optimal("y ~ s(x) + s(z)"),
    by_factor = optimal("y ~ f + s(x, by = f, bs = 'cr', k = 8)"),
    by_number = optimal("y ~ s(x, bs = 'cr') + s(x, by = w, bs = 'cr')"),
    plane = optimal("y ~ s(x, z)"),
    t2 = optimal("y ~ t2(x, z)"),
    fs = optimal("y ~ s(x, f, bs = 'fs', k = 6)"),
    re = optimal("y ~ s(x) + s(f, bs = 're')"))),
  "smooths.json", digits = 12, auto_unbox = TRUE, pretty = FALSE)
