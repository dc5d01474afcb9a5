#!/usr/bin/env python3
"""Recomputes how hard the lattice problems behind every parameter set in use are. No dependencies; a few seconds.

Primal attack: the secret and the errors are a short vector of a lattice, found by BKZ reduction with block size b. The method is that
of the lattice estimator (M. Albrecht, R. Player, S. Scott, "On the concrete hardness of Learning with Errors", Journal of
Mathematical Cryptology 9, 2015; https://github.com/malb/lattice-estimator), with its 2016 condition of success (E. Alkim, L. Ducas, T.
Poeppelmann, P. Schwabe, "Post-quantum Key Exchange - A New Hope", USENIX Security 2016, section 6.3), the scaling of small secrets
(S. Bai, S. Galbraith, "Lattice Decoding Attacks on Binary LWE", ACISP 2014), and sieving costs of A. Becker, L. Ducas, N. Gama, T.
Laarhoven, "New directions in nearest neighbor searching with applications to lattice sieving", SODA 2016: 2^(0.292 b + 16.4), once for
each of 8 d vectors of a tour.

Beside it a lower bound in which nothing but the exponent of one sieve counts (core-SVP), as the makers of standards quote it.
"""

from math import e, log2, pi

# Name, dimension, log2 of the modulus, deviation of the errors as log2 of the bound of TUniform.
SETS = [
    ("cells: keys of studies, public key of guards (N = 2,048)", 2048, 64, 17),
    ("guards: key switching (n = 918)", 918, 64, 45),
    ("guards: bootstrapping key (N = 2,048)", 2048, 64, 17),
]

SECRET = 0.5  # deviation of a binary secret


def root_hermite(b):
    """The quality that BKZ with this block size comes to (Y. Chen, PhD thesis, Paris 7, 2013)."""
    return ((b / (2 * pi * e)) * (pi * b) ** (1 / b)) ** (1 / (2 * (b - 1)))


def succeeds(n, log_q, log_sigma, b, m):
    d = n + m + 1
    # The secret is scaled up to the size of the errors.
    log_volume = m * log_q + n * (log_sigma - log2(SECRET))
    left = 0.5 * log2(b) + log_sigma
    right = (2 * b - d - 1) * log2(root_hermite(b)) + log_volume / d
    return left <= right


def block_size(n, log_q, log_sigma):
    """The smallest block size for which some number of samples makes the attack succeed."""
    low, high = 60, n
    while low < high:
        b = (low + high) // 2
        if any(succeeds(n, log_q, log_sigma, b, m) for m in range(n // 4, 3 * n, 8)):
            high = b
        else:
            low = b + 1
    best = next(m for m in range(n // 4, 3 * n, 8) if succeeds(n, log_q, log_sigma, low, m))
    return low, n + best + 1


def main():
    print(f"{'set':<60} {'b':>5} {'d':>6} {'bits':>7} {'core-SVP':>9}")
    for name, n, log_q, bound in SETS:
        # TUniform(b): from -2^b to 2^b, the ends half as often.
        log_sigma = 0.5 * log2((2 ** (2 * bound + 1) + 1) / 6)
        b, d = block_size(n, log_q, log_sigma)
        bits = 0.292 * b + 16.4 + log2(8 * d)
        print(f"{name:<60} {b:>5} {d:>6} {bits:>7.1f} {0.292 * b:>9.1f}")
        assert bits >= 128, name


if __name__ == "__main__":
    main()
