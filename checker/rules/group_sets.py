"""Rule `group-sets`: neurons that sit on two finite sets on which the group acts.

Notation of rules/hidden_tables: h_i(a, b) = relu(left[a, i] + right[b, i] + bias_i), U = unembed. G is the group of the task.

*Theorem.* Let G act on finite sets X and Y, and let K "x y", lam "x" and mu "y" be real tables with K(gx, gy) = K(x, y) for all
g. Let S be a set of neurons; neuron i is at the cell (beta_i, gamma_i) of X x Y, with numbers s_i >= 0 and t_i. Let W be a number.
Put, with the ranges max - min over all places,

    e_i = max_a |left[a, i] + bias_i - s_i lam(a^-1 beta_i)| + max_b |right[b, i] - s_i mu(b gamma_i)|
    r_i = range over z of U_i(z) - t_i K(beta_i, z gamma_i)
    H(x, y) = relu(lam(x) + mu(y)),    F(g) = sum over x, y of H(x, y) K(x, g y)
    v(cell) = |W - sum of s_i t_i| range(K) + sum of s_i r_i,    k(cell) = sum of e_i |t_i| range(K),  over the neurons i there.

Then for all a, b and z, with c = ab and g = a^-1 z b^-1 (which is 1 only for z = c),

    sum over i in S of h_i(a, b) (U_i(c) - U_i(z))  >=  W (F(1) - F(g)) - A - B - C

where A is the sum of the products of all H and all v, both sorted; B the sum over i of e_i r_i; and C the sum over gamma of the
2q largest k(beta, gamma), if no column of K has more than q entries that differ from some number K0.

*Proof.* Let h'_i = relu(s_i lam(a^-1 beta_i) + s_i mu(b gamma_i)) = s_i H(a^-1 beta_i, b gamma_i) be the ideal activation and d_i =
K(beta_i, c gamma_i) - K(beta_i, z gamma_i), so that U_i(c) - U_i(z) is within r_i of t_i d_i. Now h_i (U_i(c) - U_i(z)) =
h'_i t_i d_i + h'_i (U_i(c) - U_i(z) - t_i d_i) + (h_i - h'_i)(U_i(c) - U_i(z)).
(1) The first terms add to the sum over cells of (W + (sum of s_i t_i - W)) H(a^-1 beta, b gamma) d. For fixed a and b,
(x, y) = (a^-1 beta, b gamma) runs over X x Y once as the cell does. With W alone: K(beta, c gamma) = K(ax, ay) = K(x, y), and
K(beta, z gamma) = K(ax, z b^-1 y) = K(x, gy); so W (F(1) - F(g)). (2) What remains of the first terms and the second terms are,
cell by cell, at most H(a^-1 beta, b gamma) v(cell), as |d| <= range(K). Whatever permutation takes cells to (x, y), the sum is at
most that of both sorted (rearrangement inequality). (3) ReLU changes no faster than its argument, so |h_i - h'_i| <= e_i, and the
third terms are at most e_i (r_i + |t_i d_i|). d_i is 0 unless one of K(beta_i, c gamma_i), K(beta_i, z gamma_i) differs from K0:
for given gamma_i that leaves 2q values of beta_i.

*Premise:* the tables. *Parameters:* `scale` (lam, mu), `weight_scale` (t, W; s is in units of 2**-30), `background` (K0).
*Hints:* `action_x` "g x", `action_y` "g y", `generators` "r" (elements that generate G), `kernel` "x y" (integers), `lam` "x",
`mu` "y", `weight` "1" (W), and for the neurons, cell by cell (beta first): `neurons`, `beta`, `gamma`, `s`, `t`, all "i".
*Checked:* that these are actions (rules/group_laws) and K is invariant; the rest is computed.
"""
