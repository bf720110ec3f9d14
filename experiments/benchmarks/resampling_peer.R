# Time R's Cox fits of resamples: Rscript resampling_peer.R FOLDER N_FORMULA N_BARE CHUNK.
# Prints one line of JSON: seconds per fit of each chunk, and tight coefficients and log-likelihoods.
suppressMessages(library(survival))
arguments <- commandArgs(trailingOnly = TRUE)
folder <- arguments[1]
n_formula <- as.integer(arguments[2])
n_bare <- as.integer(arguments[3])
chunk <- as.integer(arguments[4])
shape <- readBin(file.path(folder, "shape.i32"), "integer", 3, size = 4)  # replicates, n, p
read <- function(name, n) readBin(file.path(folder, name), "double", n, size = 8)
X <- matrix(read("X.f64", shape[2] * shape[3]), nrow = shape[2])
duration <- read("duration.f64", shape[2])
event <- read("event.f64", shape[2])
counts <- matrix(readBin(file.path(folder, "weights.i32"), "integer", shape[1] * shape[2], size = 4),
                 nrow = shape[2])  # one column per replicate
drawn <- lapply(seq_len(max(n_formula, n_bare)), function(b) rep.int(seq_len(shape[2]), counts[, b]))
table <- data.frame(duration = duration, event = event, arm = X[, 1], marker = X[, 2])
y <- Surv(duration, event)
colnames(X) <- c("arm", "marker", "interaction")

spent <- function() sum(proc.time()[1:2])  # processor time
timed <- function(n, one, chunk) {
  seconds <- numeric(0)
  for (low in seq(1, n, by = chunk)) {
    replicates <- low:min(low + chunk - 1, n)
    start <- spent()
    for (b in replicates) one(drawn[[b]])
    seconds <- c(seconds, (spent() - start) / length(replicates))
  }
  seconds
}
formula <- function(rows) coxph(Surv(duration, event) ~ arm * marker, data = table[rows, ])
usual <- coxph.control()
bare <- function(rows) {
  coxph.fit(X[rows, ], y[rows, ], strata = NULL, offset = NULL, init = NULL, control = usual,
            weights = NULL, method = "efron", rownames = NULL, resid = FALSE)
}
for (b in 1:20) bare(drawn[[b]])
for (b in 1:5) formula(drawn[[b]])
bare_seconds <- timed(n_bare, bare, 10 * chunk)  # the clock ticks in milliseconds
formula_seconds <- timed(n_formula, formula, chunk)
tight <- coxph.control(eps = 1e-14, toler.chol = 1e-15, iter.max = 50)
fits <- lapply(seq_len(n_formula), function(b) {
  rows <- drawn[[b]]
  coxph.fit(X[rows, ], y[rows, ], strata = NULL, offset = NULL, init = NULL, control = tight,
            weights = NULL, method = "efron", rownames = NULL, resid = FALSE)
})
listed <- function(x) paste0("[", paste(format(x, digits = 17), collapse = ", "), "]")
cat('{"formula": ', listed(formula_seconds), ', "bare": ', listed(bare_seconds),
    ', "coef": ', listed(unlist(lapply(fits, function(f) unname(f$coefficients)))),
    ', "log_likelihood": ', listed(unlist(lapply(fits, function(f) f$loglik))), "}\n", sep = "")
