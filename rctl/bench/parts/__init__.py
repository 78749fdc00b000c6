"""The benchmarks, one a file, with what one alone needs beside it."""
