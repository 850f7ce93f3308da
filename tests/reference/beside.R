# Writes broom_*.csv, lmlist.json and nested.csv:  cd tests/reference; Rscript beside.R
# Made with R 4.2.2, lme4 1.1-31, broom.mixed 0.2.9.4, nlme and jsonlite.
suppressMessages({library(lme4); library(broom.mixed)})
sleep <- read.csv("../../bayesmix/datasets/sleepstudy.csv")
sleep$Subject <- factor(sleep$Subject)
everything <- c("fixed", "ran_pars", "ran_vals")
fit <- lmer(Reaction ~ Days + (Days | Subject), sleep)
tidied <- tidy(fit, effects = everything, conf.int = TRUE)
write.csv(tidied, "broom_sleepstudy.csv", row.names = FALSE)
write.csv(tidy(fit, effects = c("fixed", "ran_pars", "ran_coefs"), scales = c(NA, "vcov", NA)),
          "broom_vcov.csv", row.names = FALSE)

# A factor, a logical, an interaction, and wards within hospitals.
set.seed(1)
d <- expand.grid(hospital = paste0("h", 1:6), ward = 1:3, row = 1:4)
d$sex <- sample(c("F", "M"), nrow(d), TRUE)
d$old <- sample(c(TRUE, FALSE), nrow(d), TRUE)
d$x <- round(rnorm(nrow(d)), 2)
ward <- interaction(d$hospital, d$ward)
d$y <- round(2 + d$x - (d$sex == "M") + rnorm(6)[factor(d$hospital)] + rnorm(18)[ward] +
             rnorm(nrow(d)), 3)
d$bin <- rbinom(nrow(d), 1, plogis(d$x))
write.csv(d, "nested.csv", row.names = FALSE)
fit <- lmer(y ~ x * sex + old + (1 | hospital / ward), d)
write.csv(tidy(fit, effects = everything, conf.int = TRUE), "broom_nested.csv", row.names = FALSE)

# A separate regression per level, and one for all.
by <- function(fit) list(estimate = as.matrix(coef(fit)),
                         se = sapply(colnames(coef(fit)), function(k) coef(summary(fit))[, 2, k]))
pooled <- nlme::lmList(Reaction ~ Days | Subject, sleep)
own <- nlme::lmList(Reaction ~ Days | Subject, sleep, pool = FALSE)
glms <- lapply(split(d, d$hospital), function(part)
    coef(summary(glm(bin ~ x, binomial, part, epsilon = 1e-14, maxit = 100)))[, 1:2])
jsonlite::write_json(list(
    pooled = by(pooled), own = by(own), interval = nlme::intervals(pooled)["308", , "Days"],
    glm = glms, levels = rownames(coef(pooled)),
    all = coef(summary(glm(bin ~ x + sex, binomial, d, epsilon = 1e-14)))[, 1:2],
    lm = coef(summary(lm(Reaction ~ Days, sleep)))[, 1:2],
    lm_interval = confint(lm(Reaction ~ Days, sleep))),
    "lmlist.json", digits = 10, auto_unbox = TRUE, pretty = FALSE)
