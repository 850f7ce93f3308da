# Marginal means of R's emmeans 1.8.4 with lmerTest, pbkrtest and glmmTMB: writes emmeans.json.
# Rscript emmeans.R, with BAYESMIX_REFERENCE naming the folder of the published tables.

suppressMessages({
  library(emmeans); library(lmerTest); library(pbkrtest); library(glmmTMB); library(jsonlite)
})
data <- function(name) read.csv(file.path(Sys.getenv("BAYESMIX_REFERENCE"), "data", name))
table <- function(x, ...) {
  d <- as.data.frame(summary(x, ...))
  for (n in names(d)) if (is.factor(d[[n]])) d[[n]] <- as.character(d[[n]])
  d
}
both <- c(TRUE, TRUE)
out <- list()

oats <- data("oats.csv")
oats$nf <- factor(oats$nitro)
u <- oats[-c(1, 5, 17, 18, 30, 44, 45, 46, 60, 71), ]
m <- lmer(yield ~ nf * Variety + (1 | Block/Variety), u)
for (d in c("satterthwaite", "kenward-roger")) {
  e <- emmeans(m, ~Variety, lmer.df = d)
  out[[paste0("means_", d)]] <- table(e)
  out[[paste0("pairs_", d)]] <- table(pairs(e), infer = both)
  out[[paste0("simple_", d)]] <- table(pairs(emmeans(m, ~ Variety | nf, lmer.df = d)), infer = both)
  out[[paste0("joint_", d)]] <- as.data.frame(joint_tests(m, lmer.df = d))
}
satt <- function(...) emmeans(..., lmer.df = "satterthwaite")
out$proportional <- table(satt(m, ~Variety, weights = "proportional"))
out$cells <- table(satt(m, ~Variety, weights = "cells"))
for (a in c("none", "bonferroni", "holm", "sidak")) {
  out[[paste0("adjust_", a)]] <- table(contrast(satt(m, ~nf), "pairwise", adjust = a), infer = both)
}
out$interaction <- table(contrast(satt(m, ~ nf * Variety), interaction = "consec"))
w <- rep(c(1, 2, 3), length.out = nrow(u))
out$weights <- table(satt(lmer(yield ~ nf + Variety + (1 | Block/Variety), u, weights = w), ~Variety))
m <- lmer(log(yield) ~ nf * Variety + (1 | Block/Variety), u)
out$log_means <- table(satt(m, ~Variety), type = "response")
out$log_pairs <- table(pairs(satt(m, ~Variety)), type = "response", infer = both)
u$g <- ifelse(u$Variety == "Victory", "old", "new")
m <- suppressMessages(lmer(yield ~ g + Variety + nf + (1 | Block/Variety), u))
out$nested_inner <- table(satt(m, ~Variety))
out$nested_outer <- table(satt(m, ~g))
out$nested_beside <- table(satt(m, ~nf))
m <- suppressMessages(lmer(yield ~ nf * Variety + (1 | Block/Variety),
                           oats[!(oats$nf == "0.6" & oats$Variety == "Victory"), ]))
out$empty_means <- table(satt(m, ~Variety))
out$empty_pairs <- table(pairs(satt(m, ~ Variety | nf)))
out$empty_joint <- as.data.frame(joint_tests(m, lmer.df = "satterthwaite"))

cake <- data("cake.csv")
trend <- function(...) emtrends(..., lmer.df = "satterthwaite")
m <- lmer(angle ~ recipe * temp + (1 | recipe:replicate), cake)
out$trends <- table(trend(m, ~recipe, var = "temp"))
out$trend_pairs <- table(pairs(trend(m, ~recipe, var = "temp")))
out$means_at <- table(satt(m, ~ recipe | temp, at = list(temp = c(180, 200))))
m <- lmer(angle ~ recipe + poly(temp, 2) + (1 | recipe:replicate), cake)
out$poly_means <- table(satt(m, ~recipe))
out$poly_trends <- table(trend(m, ~temp, var = "temp", at = list(temp = c(180, 200, 220))))

s <- data("salamanders.csv")
s$hours <- rep(c(1, 2, 4), length.out = nrow(s))
m <- glmmTMB(count ~ spp + mined + (1 | site), s, family = poisson)
free <- function(...) emmeans(..., df = Inf)
out$poisson_link <- table(free(m, ~mined))
out$poisson_back <- table(free(m, ~mined), type = "response")
out$poisson_ratios <- table(pairs(free(m, ~spp)), type = "response", infer = both)
out$poisson_mean <- table(free(m, ~mined, regrid = "response"))
out$poisson_mean_pairs <- table(pairs(free(m, ~mined, regrid = "response")), infer = both)
m <- glmmTMB(count ~ mined + offset(log(hours)) + (1 | site), s, family = poisson)
out$offset <- table(free(m, ~mined))
out$offset_at <- table(free(m, ~mined, at = list(hours = 1)))
s$found <- as.integer(s$count > 0)
m <- glmmTMB(found ~ mined + (1 | site), s, family = binomial)
out$odds <- table(pairs(free(m, ~mined)), type = "response", infer = both)
out$probabilities <- table(free(m, ~mined), type = "response")

write_json(out, "emmeans.json", digits = 10, auto_unbox = TRUE, dataframe = "rows", na = "null")
