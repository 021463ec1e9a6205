(* How far a computed number is from the exact_value of its expression (Executions.v).

   Let s be the expression's value with absolute values of all quantities, and V that with numbers that are larger than
   these, and than 1. With n roundings and m casts the number is off by at most (A - 1) s + (B - A) V, where A = (1 + u)^n
   (1 + u')^m is what relative errors make of a monomial, and B is the same with the smallest normal number eta added to u
   and u': underflow of eta is no more than a relative error of eta of V. No operation overflows if B V is no more than the
   largest power of two. *)
From Coq Require Import Reals Lra Lia ZArith List Arith.
From CompactProofs Require Import Semantics Executions.
Open Scope R_scope.

Lemma pow_ge_1 x n : 1 <= x -> 1 <= x ^ n.
Proof. intros H. induction n; simpl; nra. Qed.
Lemma pow_mono x n k : 1 <= x -> (n <= k)%nat -> x ^ n <= x ^ k.
Proof. intros. apply Rle_pow; auto. Qed.

(* y is near x: s is at least |x|, V at least s. *)
Definition near (A B x y s V : R) : Prop := Rabs (y - x) <= (A - 1) * s + (B - A) * V.

Lemma near_size A B x y s V : Rabs x <= s -> near A B x y s V -> Rabs y <= A * s + (B - A) * V.
Proof. unfold near. intros X N. replace y with (x + (y - x)) by ring. eapply Rle_trans; [apply Rabs_triang|]. lra. Qed.
Lemma near_top A B x y s V : Rabs x <= s -> s <= V -> 1 <= A -> near A B x y s V -> Rabs y <= B * V.
Proof. intros X L HA N. apply near_size in N; auto. nra. Qed.

Lemma near_more A B A' B' x y s V : 0 <= s <= V -> 1 <= A -> A <= B -> 1 <= A' -> A' <= B' ->
  near A B x y s V -> near (A * A') (B * B') x y s V.
Proof.
  unfold near. intros S HA HB HA' HB' N. eapply Rle_trans; [exact N|].
  assert (A * (A' - 1) <= B * (B' - 1)) by (apply Rmult_le_compat; lra).
  assert (0 <= A * (A' - 1)) by (apply Rmult_le_pos; lra).
  assert ((A * (A' - 1)) * s <= (A * (A' - 1)) * V) by (apply Rmult_le_compat_l; lra). nra.
Qed.
Lemma near_sum A B x y s V x' y' s' V' : near A B x y s V -> near A B x' y' s' V' -> near A B (x + x') (y + y') (s + s') (V +
  V').
Proof.
  unfold near. intros N N'. replace (y + y' - (x + x')) with ((y - x) + (y' - x')) by ring.
  eapply Rle_trans; [apply Rabs_triang|]. lra.
Qed.
Lemma near_product A B A' B' x y s V x' y' s' V' : Rabs x <= s -> s <= V -> 1 <= A <= B -> Rabs x' <= s' -> s' <= V' -> 1 <= A'
  <= B' ->
  near A B x y s V -> near A' B' x' y' s' V' -> near (A * A') (B * B') (x * x') (y * y') (s * s') (V * V').
Proof.
  unfold near. intros X L HA X' L' HA' N N'. set (r := (A - 1) * s + (B - A) * V) in *.
  set (r' := (A' - 1) * s' + (B' - A') * V') in *.
  assert (P := Rabs_pos (y - x)). assert (P' := Rabs_pos (y' - x')). assert (Q := Rabs_pos x). assert (Q' := Rabs_pos x').
  replace (y * y' - x * x') with ((y - x) * (y' - x') + (x * (y' - x') + x' * (y - x))) by ring.
  eapply Rle_trans; [apply Rabs_triang|]. eapply Rle_trans; [apply Rplus_le_compat_l, Rabs_triang|]. rewrite !Rabs_mult.
  assert (Rabs (y - x) * Rabs (y' - x') <= r * r') by (apply Rmult_le_compat; auto).
  assert (Rabs x * Rabs (y' - x') <= s * r') by (apply Rmult_le_compat; auto).
  assert (Rabs x' * Rabs (y - x) <= s' * r) by (apply Rmult_le_compat; auto).
  assert (E : r * r' + s * r' + s' * r = (s + r) * (s' + r') - s * s') by ring.
  replace (s + r) with (A * s + (B - A) * V) in E by (unfold r; ring). replace (s' + r') with (A' * s' + (B' - A') * V') in E
    by (unfold r'; ring).
  assert (U : (A * (B' - A')) * (s * V') <= (A * (B' - A')) * (V * V')).
  { apply Rmult_le_compat_l; [apply Rmult_le_pos; lra|]. apply Rmult_le_compat_r; lra. }
  assert (U' : (A' * (B - A)) * (V * s') <= (A' * (B - A)) * (V * V')).
  { apply Rmult_le_compat_l; [apply Rmult_le_pos; lra|]. apply Rmult_le_compat_l; lra. }
  nra.
Qed.
(* One more operation, whose result is off by a relative error r. *)
Lemma near_off F r A B x y z s V : 0 <= r -> 0 < underflow F -> Rabs x <= s -> s <= V -> 1 <= V -> 1 <= A <= B ->
  near A B x y s V -> off F r y z -> near (A * (1 + r)) (B * (1 + r + underflow F)) x z s V.
Proof.
  intros Hr Ht X L HV HA N (e & f & He & Hf & ->). assert (Y := near_size _ _ _ _ _ _ X N). unfold near in *.
  set (t := underflow F) in *.
  replace (y * (1 + e) + f - x) with ((y - x) + (y * e + f)) by ring. eapply Rle_trans; [apply Rabs_triang|].
  assert (Rabs (y * e + f) <= (A * s + (B - A) * V) * r + t).
  { eapply Rle_trans; [apply Rabs_triang|]. rewrite Rabs_mult. apply Rplus_le_compat; auto.
    apply Rmult_le_compat; auto using Rabs_pos. }
  assert (t <= B * V * t). { assert (1 <= B * V) by nra. nra. }
  nra.
Qed.

Section Errors.
Variable F : format.
Notation u := (roundoff F). Notation u' := (operand_roundoff F). Notation eta := (underflow F).
Hypothesis Hu : 0 <= u.
Hypothesis Hu' : 0 <= u'.
Hypothesis Heta : 0 < eta.

Definition relative (n m : nat) : R := (1 + u) ^ n * (1 + u') ^ m.
Definition growth (n m : nat) : R := (1 + u + eta) ^ n * (1 + u' + eta) ^ m.

Lemma relative_ge_1 n m : 1 <= relative n m.
Proof. unfold relative. assert (A := pow_ge_1 (1 + u) n ltac:(lra)). assert (B := pow_ge_1 (1 + u') m ltac:(lra)). nra. Qed.
Lemma growth_ge n m : relative n m <= growth n m.
Proof.
  unfold relative, growth. assert (A := pow_ge_1 (1 + u) n ltac:(lra)). assert (B := pow_ge_1 (1 + u') m ltac:(lra)).
  apply Rmult_le_compat; try lra; apply pow_incr; lra.
Qed.
Lemma relative_between n m : 1 <= relative n m <= growth n m.
Proof. split; [apply relative_ge_1|apply growth_ge]. Qed.
Lemma relative_plus n m n' m' : relative (n + n') (m + m') = relative n m * relative n' m'.
Proof. unfold relative. rewrite !pow_add. ring. Qed.
Lemma growth_plus n m n' m' : growth (n + n') (m + m') = growth n m * growth n' m'.
Proof. unfold growth. rewrite !pow_add. ring. Qed.
Lemma growth_mono n m n' m' : (n <= n')%nat -> (m <= m')%nat -> growth n m <= growth n' m'.
Proof.
  intros. unfold growth. assert (A := pow_ge_1 (1 + u + eta) n ltac:(lra)). assert (B := pow_ge_1 (1 + u' + eta) m ltac:(lra)).
  apply Rmult_le_compat; try lra; apply pow_mono; auto; lra.
Qed.
Lemma growth_ge_1 n m : 1 <= growth n m.
Proof. assert (A := relative_between n m). lra. Qed.
(* What underflow adds. *)
Lemma growth_less n m : growth n m - relative n m <= INR (n + m) * eta * growth n m.
Proof.
  assert (P : forall a k, 0 <= a -> (1 + a + eta) ^ k - (1 + a) ^ k <= INR k * eta * (1 + a + eta) ^ k).
  { intros a k Ha. induction k; [simpl; lra|]. rewrite S_INR. simpl pow. assert (X := pow_ge_1 (1 + a + eta) k ltac:(lra)).
    assert (Y : 1 <= (1 + a) ^ k) by (apply pow_ge_1; lra). assert (Y' : (1 + a) ^ k <= (1 + a + eta) ^ k) by (apply pow_incr;
      lra).
    set (p := (1 + a + eta) ^ k) in *. set (q := (1 + a) ^ k) in *. assert (N := pos_INR k).
    assert ((1 + a + eta) * (p - q) <= (1 + a + eta) * (INR k * eta * p)) by (apply Rmult_le_compat_l; lra).
    assert (eta * q <= eta * p) by (apply Rmult_le_compat_l; lra).
    assert (eta * p <= (1 + a + eta) * (eta * p)) by (assert (0 <= eta * p) by nra; nra). nra. }
  unfold growth, relative. rewrite plus_INR. assert (P1 := P u n Hu). assert (P2 := P u' m Hu').
  assert (X1 := pow_ge_1 (1 + u + eta) n ltac:(lra)). assert (X2 := pow_ge_1 (1 + u' + eta) m ltac:(lra)).
  assert (Y1 := pow_ge_1 (1 + u) n ltac:(lra)). assert (Z1 : (1 + u) ^ n <= (1 + u + eta) ^ n) by (apply pow_incr; lra).
  set (p1 := (1 + u + eta) ^ n) in *. set (p2 := (1 + u' + eta) ^ m) in *. set (q1 := (1 + u) ^ n) in *.
  set (q2 := (1 + u') ^ m) in *.
  assert (N := pos_INR m). assert (0 <= INR m * eta) by nra.
  assert ((p1 - q1) * p2 <= INR n * eta * p1 * p2) by (apply Rmult_le_compat_r; lra).
  assert (q1 * (p2 - q2) <= p1 * (INR m * eta * p2)).
  { apply Rle_trans with (q1 * (INR m * eta * p2)); [apply Rmult_le_compat_l; lra|apply Rmult_le_compat_r; nra]. }
  nra.
Qed.

Lemma near_up n m n' m' x y s V : (n <= n')%nat -> (m <= m')%nat -> 0 <= s <= V ->
  near (relative n m) (growth n m) x y s V -> near (relative n' m') (growth n' m') x y s V.
Proof.
  intros Hn Hm S N. replace n' with (n + (n' - n))%nat by lia. replace m' with (m + (m' - m))%nat by lia.
  rewrite relative_plus, growth_plus. assert (A := relative_between n m). assert (A' := relative_between (n' - n) (m' - m)).
  apply near_more; auto; lra.
Qed.

Section Run.
Variable Q : Type.
Variable own : Q -> nat.
Variable given : Q -> R -> Prop.
Variables of most : Q -> R.   (* exact values, and numbers that are at least these, and 1 *)
Hypothesis Hmost : forall q, 1 <= most q /\ Rabs (of q) <= most q.
Hypothesis Hgiven : forall q y, given q y -> growth (own q) 0 * most q <= limit F ->
  near (relative (own q) 0) (growth (own q) 0) (of q) y (Rabs (of q)) (most q).
Notation sizes := (fun q => Rabs (of q)).

Lemma exact_value_sizes e : Rabs (exact_value of e) <= exact_value sizes e <= exact_value most e /\ 1 <= exact_value most e.
Proof.
  induction e; simpl.
  - destruct (Hmost q). lra.
  - assert (T := Rabs_triang (exact_value of e1) (exact_value of e2)). lra.
  - rewrite Rabs_mult. assert (A := Rabs_pos (exact_value of e1)). assert (B := Rabs_pos (exact_value of e2)).
    destruct IHe1 as [[L1 M1] O1], IHe2 as [[L2 M2] O2]. repeat split.
    + apply Rmult_le_compat; auto.
    + apply Rmult_le_compat; lra.
    + nra.
  - exact IHe.
Qed.

Theorem run_near e y : run F given e y -> growth (roundings own e) (casts e) * exact_value most e <= limit F ->
  near (relative (roundings own e) (casts e)) (growth (roundings own e) (casts e)) (exact_value of e) y (exact_value sizes e)
    (exact_value most e).
Proof.
  induction 1 as [q y G|a b x y z Ra IHa Rb IHb Z|a b x y z Ra IHa Rb IHb Z|a x y Ra IHa Z];
    cbn [roundings casts exact_value]; intros L.
  - now apply Hgiven.
  - set (n := Nat.max (roundings own a) (roundings own b)) in *. set (m := Nat.max (casts a) (casts b)) in *.
    destruct (exact_value_sizes a) as [[A1 A2] A3], (exact_value_sizes b) as [[B1 B2] B3].
    assert (PA := Rabs_pos (exact_value of a)). assert (PB := Rabs_pos (exact_value of b)).
    assert (GS : growth n m <= growth (S n) m) by (apply growth_mono; lia).
    assert (Ga : growth (roundings own a) (casts a) <= growth n m) by (apply growth_mono; lia).
    assert (Gb : growth (roundings own b) (casts b) <= growth n m) by (apply growth_mono; lia).
    assert (G1 := growth_ge_1 (roundings own a) (casts a)). assert (G2 := growth_ge_1 (roundings own b) (casts b)).
    set (va := exact_value most a) in *. set (vb := exact_value most b) in *. assert (R := relative_between n m).
    assert (Na : near (relative n m) (growth n m) (exact_value of a) x (exact_value sizes a) va).
    { eapply near_up; [..|apply IHa]; try lia; try lra. nra. }
    assert (Nb : near (relative n m) (growth n m) (exact_value of b) y (exact_value sizes b) vb).
    { eapply near_up; [..|apply IHb]; try lia; try lra. nra. }
    assert (N := near_sum _ _ _ _ _ _ _ _ _ _ Na Nb).
    assert (T : Rabs (exact_value of a + exact_value of b) <= exact_value sizes a + exact_value sizes b) by (eapply Rle_trans;
      [apply Rabs_triang|lra]).
    assert (O : off F u (x + y) z).
    { apply Z. eapply Rle_trans; [eapply near_top; [exact T| | |exact N]; lra|]. nra. }
    replace (S n) with (n + 1)%nat by lia. replace m with (m + 0)%nat by lia. rewrite relative_plus, growth_plus.
    replace (relative 1 0) with (1 + u) by (unfold relative; simpl; ring).
    replace (growth 1 0) with (1 + u + eta) by (unfold growth; simpl; ring).
    eapply near_off; eauto; lra.
  - destruct (exact_value_sizes a) as [[A1 A2] A3], (exact_value_sizes b) as [[B1 B2] B3].
    assert (PA := Rabs_pos (exact_value of a)). assert (PB := Rabs_pos (exact_value of b)).
    set (n := (roundings own a + roundings own b)%nat) in *. set (m := (casts a + casts b)%nat) in *.
    assert (GS : growth n m <= growth (S n) m) by (apply growth_mono; lia).
    assert (GP : growth n m = growth (roundings own a) (casts a) * growth (roundings own b) (casts b)) by apply growth_plus.
    assert (RP : relative n m = relative (roundings own a) (casts a) * relative (roundings own b) (casts b)) by apply
      relative_plus.
    assert (G1 := growth_ge_1 (roundings own a) (casts a)). assert (G2 := growth_ge_1 (roundings own b) (casts b)).
    assert (R1 := relative_between (roundings own a) (casts a)). assert (R2 := relative_between (roundings own b) (casts b)).
    set (va := exact_value most a) in *. set (vb := exact_value most b) in *.
    set (ga := growth (roundings own a) (casts a)) in *. set (gb := growth (roundings own b) (casts b)) in *.
    assert (PV : 1 <= va * vb) by nra. assert (W : 1 <= gb * vb) by nra. assert (W' : 1 <= ga * va) by nra.
    assert (Top : growth n m * (va * vb) <= limit F) by (eapply Rle_trans; [apply Rmult_le_compat_r|exact L]; lra).
    assert (Same : growth n m * (va * vb) = (ga * va) * (gb * vb)) by (rewrite GP; ring).
    assert (La : ga * va <= limit F) by (eapply Rle_trans; [|exact Top]; rewrite Same; nra).
    assert (Lb : gb * vb <= limit F) by (eapply Rle_trans; [|exact Top]; rewrite Same; nra).
    assert (Na := IHa La). assert (Nb := IHb Lb).
    assert (N := near_product _ _ _ _ _ _ _ _ _ _ _ _ A1 A2 R1 B1 B2 R2 Na Nb). rewrite <- RP, <- GP in N.
    assert (T : Rabs (exact_value of a * exact_value of b) <= exact_value sizes a * exact_value sizes b) by (rewrite Rabs_mult;
      apply Rmult_le_compat; auto using Rabs_pos).
    assert (T' : exact_value sizes a * exact_value sizes b <= va * vb) by (apply Rmult_le_compat; lra).
    assert (R := relative_between n m).
    assert (O : off F u (x * y) z).
    { apply Z. eapply Rle_trans; [eapply near_top; [exact T| | |exact N]; lra|exact Top]. }
    replace (S n) with (n + 1)%nat by lia. replace m with (m + 0)%nat by lia. rewrite relative_plus, growth_plus.
    replace (relative 1 0) with (1 + u) by (unfold relative; simpl; ring).
    replace (growth 1 0) with (1 + u + eta) by (unfold growth; simpl; ring).
    eapply near_off; eauto; try lra; nra.
  - destruct (exact_value_sizes a) as [[A1 A2] A3]. assert (PA := Rabs_pos (exact_value of a)).
    set (n := roundings own a) in *. set (m := casts a) in *.
    assert (GS : growth n m <= growth n (S m)) by (apply growth_mono; lia). set (va := exact_value most a) in *.
    assert (R := relative_between n m).
    assert (N := IHa ltac:(nra)).
    assert (O : off F u' x y) by (apply Z; eapply Rle_trans; [eapply near_top; [exact A1| | |exact N]; lra|nra]).
    replace (S m) with (m + 1)%nat by lia. replace n with (n + 0)%nat by lia. rewrite relative_plus, growth_plus.
    replace (relative 0 1) with (1 + u') by (unfold relative; simpl; ring).
    replace (growth 0 1) with (1 + u' + eta) by (unfold growth; simpl; ring).
    eapply near_off; eauto; lra.
Qed.

(* Of a formula. *)
Theorem computes_near n m formula y : computes F own given n m formula y -> growth n m * formula most <= limit F ->
  Rabs (y - formula of) <= (growth n m - 1) * formula sizes + INR (n + m) * eta * growth n m * formula most.
Proof.
  intros (e & E & Hn & Hm & Run) L. rewrite <- !E in *. destruct (exact_value_sizes e) as [[A1 A2] A3].
  assert (P := Rabs_pos (exact_value of e)).
  assert (GM := growth_mono _ _ _ _ Hn Hm). assert (G1 := growth_ge_1 (roundings own e) (casts e)).
  assert (N := run_near e y Run ltac:(nra)). apply (near_up _ _ _ _ _ _ _ _ Hn Hm) in N; [|lra]. unfold near in N.
  assert (D := growth_less n m). assert (R := relative_between n m).
  assert ((growth n m - relative n m) * exact_value most e <= INR (n + m) * eta * growth n m * exact_value most e) by (apply
    Rmult_le_compat_r; lra). nra.
Qed.
End Run.
End Errors.
