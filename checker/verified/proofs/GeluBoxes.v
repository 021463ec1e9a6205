(* gelu_new of what may be anything in an interval. For y >= 0 it is - y / (1 + exp (w y)) at - y, and 1 + exp (w y) is convex;
   so over an interval it is at most what it is at one of the ends, and it falls up to a point and rises from there. *)
From Coq Require Import Reals Lra Lia ZArith Arith Bool List.
From CompactProofs Require Import Semantics PrefixChains Exponential Vectors Attention Transformers Gelu.
Open Scope R_scope.

Notation gelu := (act Gelu_new).
Definition slope : R := 2 * sqrt (2 / PI).
Definition inner (x : R) : R := slope * (x * (1 + 44715 / 10 ^ 6 * (x * x))).
Lemma slope_pos : 0 < slope.
Proof.
  assert (P3 := three_pi). unfold slope. assert (0 < sqrt (2 / PI)); [|lra]. apply sqrt_lt_R0.
  apply Rmult_lt_0_compat; [lra|]. apply Rinv_0_lt_compat. lra.
Qed.
Lemma gelu_inner x : gelu x = x * logistic (inner x).
Proof. apply gelu_new_form. Qed.
Lemma gelu_minus y : gelu (- y) * (1 + exp (inner y)) = - y.
Proof.
  rewrite gelu_inner. replace (inner (- y)) with (- inner y) by (unfold inner; ring). unfold logistic. rewrite Ropp_involutive.
  assert (X := exp_pos (inner y)). field. lra.
Qed.
Lemma cube_rises a b : a <= b -> a * (1 + 44715 / 10 ^ 6 * (a * a)) <= b * (1 + 44715 / 10 ^ 6 * (b * b)).
Proof.
  intros L. set (k := 44715 / 10 ^ 6). assert (K : 0 < k) by (unfold k; lra).
  replace (b * (1 + k * (b * b))) with (a * (1 + k * (a * a)) + (b - a) * (1 + k * (a * a + a * b + b * b))) by ring.
  assert (0 <= a * a + a * b + b * b) by nra. assert (0 <= (b - a) * (1 + k * (a * a + a * b + b * b))) by (apply Rmult_le_pos;
    [lra|nra]). lra.
Qed.
Lemma logistic_rises u v : u <= v -> 0 < logistic u <= logistic v.
Proof.
  intros L. unfold logistic. assert (X := exp_pos (- u)). assert (Y := exp_pos (- v)).
  assert (M : exp (- v) <= exp (- u)) by (destruct (Req_dec u v) as [->|]; [lra|left; apply exp_increasing; lra]).
  split; [apply Rinv_0_lt_compat; lra|]. apply Rinv_le_contravar; lra.
Qed.
Lemma inner_rises a b : a <= b -> inner a <= inner b.
Proof. intros L. apply Rmult_le_compat_l; [left; apply slope_pos|now apply cube_rises]. Qed.
Lemma gelu_sign x : (0 <= x -> 0 <= gelu x) /\ (x <= 0 -> gelu x <= 0).
Proof.
  rewrite gelu_inner. assert (L := logistic_rises (inner x) (inner x) ltac:(lra)). split; intros; nra.
Qed.
Lemma gelu_above a b : 0 <= a <= b -> gelu a <= gelu b.
Proof.
  intros [A L]. rewrite !gelu_inner. assert (M := logistic_rises _ _ (inner_rises a b L)).
  apply Rmult_le_compat; lra.
Qed.
(* exp (inner y) is convex for y >= 0. *)
Lemma convex u y v : 0 <= u <= y -> y <= v ->
  (1 + exp (inner y)) * (v - u) <= (1 + exp (inner u)) * (v - y) + (1 + exp (inner v)) * (y - u).
Proof.
  intros [U L1] L2. set (k := 44715 / 10 ^ 6). assert (K : 0 < k) by (unfold k; lra). assert (S := slope_pos).
  assert (Tangent : forall z, exp (inner y) * (1 + (inner z - inner y)) <= exp (inner z)).
  { intros z. assert (I := exp_ineq1_le (inner z - inner y)). assert (X := exp_pos (inner y)).
    replace (exp (inner z)) with (exp (inner y) * exp (inner z - inner y)) by (rewrite <- exp_plus; f_equal; ring).
    apply Rmult_le_compat_l; lra. }
  assert (Cubic : 0 <= (inner u - inner y) * (v - y) + (inner v - inner y) * (y - u)).
  { replace ((inner u - inner y) * (v - y) + (inner v - inner y) * (y - u)) with (slope * k * ((y - u) * (v - y) * (v - u) * (u
      + y +
      v))) by (unfold inner; fold k; ring).
    apply Rmult_le_pos; [nra|]. apply Rmult_le_pos; [|lra]. apply Rmult_le_pos; [|lra]. apply Rmult_le_pos; lra. }
  assert (T1 := Tangent u). assert (T2 := Tangent v). set (E := exp (inner y)) in *. assert (Ep : 0 < E) by apply exp_pos.
  assert (A1 : E * (1 + (inner u - inner y)) * (v - y) <= exp (inner u) * (v - y)) by (apply Rmult_le_compat_r; lra).
  assert (A2 : E * (1 + (inner v - inner y)) * (y - u) <= exp (inner v) * (y - u)) by (apply Rmult_le_compat_r; lra).
  assert (A3 : 0 <= E * ((inner u - inner y) * (v - y) + (inner v - inner y) * (y - u))) by (apply Rmult_le_pos; lra).
  lra.
Qed.
Lemma gelu_upper a x b m : a <= x <= b -> gelu a <= m -> gelu b <= m -> gelu x <= m.
Proof.
  intros [A B] Ga Gb. destruct (Rle_dec 0 x) as [X|X].
  { eapply Rle_trans; [|exact Gb]. apply gelu_above. lra. }
  destruct (Rle_dec 0 m) as [M|M]. { assert (S := proj2 (gelu_sign x)). lra. }
  assert (Bn : b < 0). { apply Rnot_le_lt. intros N. assert (S := proj1 (gelu_sign b) N). lra. }
  destruct (Req_dec a b) as [->|N]; [replace x with b by lra; auto|].
  assert (C := convex (- b) (- x) (- a) ltac:(lra) ltac:(lra)).
  assert (Ea := gelu_minus (- a)). assert (Eb := gelu_minus (- b)). assert (Ex := gelu_minus (- x)).
  rewrite Ropp_involutive in Ea, Eb, Ex.
  set (ea := 1 + exp (inner (- a))) in *. set (eb := 1 + exp (inner (- b))) in *. set (ex := 1 + exp (inner (- x))) in *.
  assert (Pa : 0 < ea) by (unfold ea; assert (Q := exp_pos (inner (- a))); lra).
  assert (Pb : 0 < eb) by (unfold eb; assert (Q := exp_pos (inner (- b))); lra).
  assert (Px : 0 < ex) by (unfold ex; assert (Q := exp_pos (inner (- x))); lra).
  assert (Ha : a <= m * ea) by (replace a with (gelu a * ea) at 1 by lra; apply Rmult_le_compat_r; lra).
  assert (Hb : b <= m * eb) by (replace b with (gelu b * eb) at 1 by lra; apply Rmult_le_compat_r; lra).
  assert (Wa : a * (b - x) <= m * ea * (b - x)) by (apply Rmult_le_compat_r; lra).
  assert (Wb : b * (x - a) <= m * eb * (x - a)) by (apply Rmult_le_compat_r; lra).
  replace (- a - - b) with (b - a) in C by ring. replace (- a - - x) with (x - a) in C by ring.
  replace (- x - - b) with (b - x) in C by ring.
  assert (Cm : m * (eb * (x - a) + ea * (b - x)) <= m * (ex * (b - a))) by nra.
  assert (Q : x * (b - a) <= m * ex * (b - a)) by lra.
  apply Rmult_le_reg_r in Q; [|lra]. apply Rmult_le_reg_r with ex; lra.
Qed.
(* From three points, of which the one between is lowest. *)
Section Valley.
Variables t1 t t2 : R.
Hypothesis Order : t1 < t < t2.
Hypothesis Negative : t2 <= 0.
Hypothesis Left : gelu t < gelu t1.
Hypothesis Right : gelu t < gelu t2.
Lemma gelu_falls x b : x <= b -> b <= t1 -> gelu b <= gelu x.
Proof.
  intros L B. apply Rnot_lt_le. intros N.
  assert (Gb : gelu b <= gelu t).
  { destruct (Rle_dec (gelu b) (gelu t)) as [Q|Q]; auto. exfalso. set (m := Rmax (gelu x) (gelu t)).
    assert (M := gelu_upper x b t m ltac:(lra) (Rmax_l _ _) (Rmax_r _ _)). unfold m, Rmax in M. destruct (Rle_dec _ _); lra. }
  assert (M := gelu_upper b t1 t (gelu t) ltac:(lra) Gb (Rle_refl _)). lra.
Qed.
Lemma gelu_rises a x : t2 <= a -> a <= x -> gelu a <= gelu x.
Proof.
  intros A L. destruct (Rle_dec 0 a) as [Z|Z]; [apply gelu_above; lra|]. apply Rnot_lt_le. intros N.
  assert (Ga : gelu a <= gelu t).
  { destruct (Rle_dec (gelu a) (gelu t)) as [Q|Q]; auto. exfalso. set (m := Rmax (gelu t) (gelu x)).
    assert (M := gelu_upper t a x m ltac:(lra) (Rmax_l _ _) (Rmax_r _ _)). unfold m, Rmax in M. destruct (Rle_dec _ _); lra. }
  assert (M := gelu_upper t t2 a (gelu t) ltac:(lra) (Rle_refl _) Ga). lra.
Qed.
Lemma gelu_least x : t1 * logistic (inner t2) <= gelu x.
Proof.
  assert (G : forall y, t1 <= y <= t2 -> t1 * logistic (inner t2) <= gelu y).
  { intros y Y. rewrite gelu_inner. assert (L := logistic_rises _ _ (inner_rises y t2 ltac:(lra))).
    assert (y * logistic (inner t2) <= y * logistic (inner y)) by nra. nra. }
  destruct (Rle_dec x t1) as [A|A]; [eapply Rle_trans; [|exact (gelu_falls x t1 A (Rle_refl _))]; apply G; lra|].
  destruct (Rle_dec x t2) as [B|B]; [apply G; lra|].
  eapply Rle_trans; [|exact (gelu_rises t2 x (Rle_refl _) ltac:(lra))]. apply G. lra.
Qed.
End Valley.

Section Boxes.
Variable p : Z.
Hypothesis Hp : (0 <= p)%Z.
Notation P := (IZR (2 ^ p)).
Variable expo : Z -> Z * Z.
Hypothesis expo_ok : forall y, (0 <= y)%Z -> IZR (fst (expo y)) <= P * exp (- (IZR y / P)) <= IZR (snd (expo y)).
(* The factor; whether the points are known to be as above; the outer ones; and the least value. *)
Record gelu_valley := Gelu_valley { factor_of : Z * Z; known_points : bool; left_point : Z; right_point : Z; least_value : Z }.
Definition valley_of : gelu_valley :=
  let factor := gelu_factor p in
  let at_point z := gelu_new_of p expo factor (z, 0%Z) in
  let one := Z.shiftl 1 p in
  let t := (- (7524614 * one / 10 ^ 7))%Z in
  let t1 := (t - one / 10 ^ 5)%Z in
  let t2 := (t + one / 10 ^ 5)%Z in
  let '(m, r) := at_point t in
  let '(m1, r1) := at_point t1 in
  let '(m2, r2) := at_point t2 in
  Gelu_valley factor ((t1 <? t)%Z && (t <? t2)%Z && (t2 <? 0)%Z && (m + r <? m1 - r1)%Z && (m + r <? m2 - r2)%Z) t1 t2
    (* t1 logistic (inner t2) is at least this, since t2 logistic (inner t2) is gelu t2 *)
    (- cdiv (t1 * (m2 - r2)) (- t2))%Z.
Definition gelu_box (V : gelu_valley) (b : Z * Z) : Z * Z :=
  let '(lo, hi) := b in
  let '(m0, r0) := gelu_new_of p expo (factor_of V) (lo, 0%Z) in
  let '(m1, r1) := gelu_new_of p expo (factor_of V) (hi, 0%Z) in
  ((if known_points V then
      if (right_point V <=? lo)%Z then m0 - r0 else if (hi <=? left_point V)%Z then m1 - r1 else least_value V
    else if (0 <=? lo)%Z then m0 - r0 else lo)%Z,
   Z.max (m0 + r0) (m1 + r1)).
Lemma gelu_below_0 x : x <= 0 -> x <= gelu x.
Proof.
  intros X. rewrite gelu_inner. assert (E := exp_pos (- inner x)). assert (L : 0 < logistic (inner x) <= 1).
  { unfold logistic. split; [apply Rinv_0_lt_compat; lra|]. rewrite <- Rinv_1. apply Rinv_le_contravar; lra. } nra.
Qed.
Lemma gelu_box_ok b x : IZR (fst b) <= x * P <= IZR (snd b) ->
  IZR (fst (gelu_box valley_of b)) <= gelu x * P <= IZR (snd (gelu_box valley_of b)).
Proof.
  destruct b as [lo hi]. cbn [fst snd]. intros [L H]. assert (W := P_pos p Hp). unfold gelu_box.
  assert (Fa : factor_of valley_of = gelu_factor p).
  { unfold valley_of. cbv zeta. destruct (gelu_new_of _ _ _ _). destruct (gelu_new_of _ _ _ _). now destruct (gelu_new_of _ _ _
      _). }
  rewrite Fa.
  assert (At : forall z, let '(m, r) := gelu_new_of p expo (gelu_factor p) (z, 0%Z) in
    IZR m - IZR r <= gelu (IZR z / P) * P <= IZR m + IZR r).
  { intros z. assert (G := gelu_new_ok p Hp expo expo_ok (IZR z / P) (z, 0%Z)). destruct (gelu_new_of _ _ _ _) as [m r].
    cbn [fst snd] in G. apply within_iff. apply G. unfold within. replace (IZR z / P * P - IZR z) with 0 by (field; lra).
    rewrite Rabs_R0. lra. }
  assert (A0 := At lo). assert (A1 := At hi). destruct (gelu_new_of p expo (gelu_factor p) (lo, 0%Z)) as [m0 r0].
  destruct (gelu_new_of p expo (gelu_factor p) (hi, 0%Z)) as [m1 r1].
  assert (Sc : forall u v, u * P <= v * P -> u <= v) by (intros u v Q; apply Rmult_le_reg_r with P; auto).
  assert (Un : forall z, IZR z / P * P = IZR z) by (intros; field; lra).
  assert (A : IZR lo / P <= x) by (apply Sc; rewrite Un; lra). assert (B : x <= IZR hi / P) by (apply Sc; rewrite Un; lra).
  cbn [fst snd]. split.
  - destruct (known_points valley_of) eqn:K.
    + revert K. unfold valley_of. cbv zeta. set (t := (- (_ / _))%Z). set (t1 := (t - _)%Z). set (t2 := (t + _)%Z).
      assert (B0 := At t). assert (B1 := At t1). assert (B2 := At t2).
      destruct (gelu_new_of p expo (gelu_factor p) (t, 0%Z)) as [m r].
      destruct (gelu_new_of p expo (gelu_factor p) (t1, 0%Z)) as [n1 s1].
      destruct (gelu_new_of p expo (gelu_factor p) (t2, 0%Z)) as [n2 s2].
      cbn [known_points left_point right_point least_value]. rewrite !andb_true_iff. intros [[[[K1 K2] K3] K4] K5].
      apply Z.ltb_lt in K1, K2, K3, K4, K5. assert (Z3 := K3). apply IZR_lt in K1, K2, K3, K4, K5.
      rewrite plus_IZR, minus_IZR in K4, K5.
      assert (Lt : forall u v, IZR u < IZR v -> IZR u / P < IZR v / P).
      { intros u v Q. apply Rmult_lt_reg_r with P; auto. now rewrite !Un. }
      assert (O1 := Lt _ _ K1). assert (O2 := Lt _ _ K2).
      assert (N2 : IZR t2 / P <= 0) by (apply Sc; rewrite Un; lra).
      assert (G1 : gelu (IZR t / P) < gelu (IZR t1 / P)) by (apply Rmult_lt_reg_r with P; lra).
      assert (G2 : gelu (IZR t / P) < gelu (IZR t2 / P)) by (apply Rmult_lt_reg_r with P; lra).
      destruct (Z.leb_spec t2 lo) as [R0|_].
      * apply IZR_le in R0. assert (M := gelu_rises _ _ _ (conj O1 O2) G2 (IZR lo / P) x ltac:(apply Sc; rewrite !Un; lra) A).
        rewrite minus_IZR. assert (gelu (IZR lo / P) * P <= gelu x * P) by (apply Rmult_le_compat_r; lra). lra.
      * destruct (Z.leb_spec hi t1) as [F|_].
        -- apply IZR_le in F. assert (M := gelu_falls _ _ _ (conj O1 O2) G1 x (IZR hi / P) B ltac:(apply Sc; rewrite !Un; lra)).
           rewrite minus_IZR. assert (gelu (IZR hi / P) * P <= gelu x * P) by (apply Rmult_le_compat_r; lra). lra.
        -- assert (M := gelu_least _ _ _ (conj O1 O2) N2 G1 G2 x).
           assert (C := cdiv_ge (t1 * (n2 - s2)) (- t2) ltac:(lia)). set (c := cdiv _ _) in *.
           rewrite opp_IZR, mult_IZR, minus_IZR in C. rewrite opp_IZR.
           apply Rle_trans with (IZR t1 / P * logistic (inner (IZR t2 / P)) * P); [|apply Rmult_le_compat_r; lra].
           assert (T2n : IZR t2 < 0) by (apply IZR_lt; lia).
           assert (T1n : IZR t1 < 0) by lra.
           rewrite gelu_inner in B2. set (l := logistic (inner (IZR t2 / P))) in *.
           replace (IZR t2 / P * l * P) with (IZR t2 * l) in B2 by (field; lra).
           replace (IZR t1 / P * l * P) with (IZR t1 * l) by (field; lra).
           apply Rmult_le_reg_r with (- IZR t2); [lra|].
           assert (Q : IZR t1 * (IZR t2 * l) <= IZR t1 * (IZR n2 - IZR s2)) by nra. nra.
    + destruct (Z.leb_spec 0 lo) as [R0|R0].
      * apply IZR_le in R0. assert (Lp : 0 <= IZR lo / P) by (apply Sc; rewrite Un; lra).
        assert (M := gelu_above (IZR lo / P) x (conj Lp A)). rewrite minus_IZR.
        assert (gelu (IZR lo / P) * P <= gelu x * P) by (apply Rmult_le_compat_r; lra). lra.
      * apply IZR_lt in R0. destruct (Rle_dec 0 x) as [X|X].
        -- assert (S := proj1 (gelu_sign x) X). nra.
        -- assert (S := gelu_below_0 x ltac:(lra)). nra.
  - assert (U := gelu_upper (IZR lo / P) x (IZR hi / P) (Rmax (gelu (IZR lo / P)) (gelu (IZR hi / P))) (conj A B) (Rmax_l _ _)
      (Rmax_r _
      _)). assert (M1 : IZR (m0 + r0) <= IZR (Z.max (m0 + r0) (m1 + r1))) by (apply IZR_le; lia).
    assert (M2 : IZR (m1 + r1) <= IZR (Z.max (m0 + r0) (m1 + r1))) by (apply IZR_le; lia). rewrite plus_IZR in M1, M2.
    assert (gelu x * P <= Rmax (gelu (IZR lo / P)) (gelu (IZR hi / P)) * P) by (apply Rmult_le_compat_r; lra).
    unfold Rmax in *. destruct (Rle_dec _ _); lra.
Qed.
End Boxes.
