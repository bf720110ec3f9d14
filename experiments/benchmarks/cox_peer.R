# Time coxph on saved arrays: Rscript cox_peer.R FOLDER REPEATS. Prints one line of JSON.
suppressMessages(library(survival))
arguments <- commandArgs(trailingOnly = TRUE)
folder <- arguments[1]
repeats <- as.integer(arguments[2])
shape <- readBin(file.path(folder, "shape.i32"), "integer", 2, size = 4)
read <- function(name, n) readBin(file.path(folder, name), "double", n, size = 8)
X <- matrix(read("X.f64", prod(shape)), nrow = shape[1])  # written column by column
duration <- read("duration.f64", shape[1])
event <- read("event.f64", shape[1])
seconds <- numeric(repeats)
for (k in seq_len(repeats)) {
  start <- proc.time()[["elapsed"]]
  fit <- coxph(Surv(duration, event) ~ X, ties = "efron")
  seconds[k] <- proc.time()[["elapsed"]] - start
}
tight <- coxph(Surv(duration, event) ~ X, ties = "efron",
               control = coxph.control(eps = 1e-13, toler.chol = 1e-14, iter.max = 50))
listed <- function(x) paste0("[", paste(format(x, digits = 15), collapse = ", "), "]")
cat('{"seconds": ', listed(seconds), ', "coef": ', listed(unname(coef(tight))), "}\n", sep = "")
