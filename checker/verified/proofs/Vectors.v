(* Enclosures of vectors of real numbers: integers in units of 2^-p, and how far they may be off. What a layer of a transformer
   does to vectors, on enclosures: each operation keeps `holds`. *)
From Coq Require Import Reals Lra Lia ZArith List Arith Bool.
From CompactProofs Require Import Semantics Counting PrefixChains Exponential Packing MatrixProduct.
Import ListNotations.
Open Scope R_scope.

(* Coordinates, and the largest error. *)
Record vector := Vector { mid : nat -> Z; err : Z }.

Lemma rsum_const n c : rsum n (fun _ => c) = INR n * c.
Proof. induction n; cbn [rsum]; [cbn; ring|]. rewrite IHn, S_INR. ring. Qed.
Lemma between x y : Rabs x <= y -> - y <= x <= y.
Proof. intros H. split; assert (A := Rle_abs x); assert (B := Rle_abs (- x)); rewrite Rabs_Ropp in B; lra. Qed.

Lemma div_lt a b : (0 < b)%Z -> IZR a < (IZR (a / b) + 1) * IZR b.
Proof.
  intros H. rewrite <- plus_IZR, <- mult_IZR. apply IZR_lt. rewrite (Z.mul_comm (_ + 1)). now apply Z.mul_succ_div_gt.
Qed.

Section Vectors.
Variable p : Z.
Hypothesis Hp : (0 <= p)%Z.
Notation P := (IZR (2 ^ p)).

Definition within (x : R) (m r : Z) : Prop := Rabs (x * P - IZR m) <= IZR r.
Definition holds (n : nat) (v : vector) (x : nat -> R) : Prop := forall i, (i < n)%nat -> within (x i) (mid v i) (err v).

Lemma P_pos : 0 < P.
Proof. now apply pw_pos. Qed.
Lemma within_iff x m r : within x m r <-> IZR m - IZR r <= x * P <= IZR m + IZR r.
Proof. unfold within. split; intros H; [apply between in H; lra|apply Rabs_le; lra]. Qed.

Definition memo_vector (n : nat) (v : vector) : vector := Vector (memo1 n (mid v)) (err v).
Lemma memo_vector_holds n k v x : holds n v x -> holds n (memo_vector k v) x.
Proof. intros H i Hi. cbn [mid err memo_vector]. rewrite memo1_eq. now apply H. Qed.

(* An integer in units of 2^-(p + k), and its error, in units of 2^-p. *)
Lemma rounded k x s r : (0 <= k)%Z -> Rabs (x * P * IZR (2 ^ k) - IZR s) <= IZR r -> within x (fshr s k) (cshr r k + 1).
Proof.
  intros Hk H. apply within_iff. assert (W := pw_pos k Hk). assert (A := fshr_le s k Hk). assert (B := fshr_lt s k Hk).
  assert (C := cshr_ge r k Hk). apply between in H. rewrite plus_IZR. split; apply Rmult_le_reg_r with (IZR (2 ^ k)); try lra;
    nra.
Qed.

(* Sums of products. *)
Lemma rsum_abs n f : Rabs (rsum n f) <= rsum n (fun i => Rabs (f i)).
Proof. induction n; cbn [rsum]; [rewrite Rabs_R0; lra|]. assert (T := Rabs_triang (rsum n f) (f n)). lra. Qed.
Lemma zmax_IZR n f i : (i < n)%nat -> IZR (f i) <= IZR (zmax n f).
Proof. intros H. apply IZR_le. now apply zmax_ge. Qed.

(* Products of a vector of k integers and a matrix of n columns, plus constants. The columns are packed, some into one number
   (Packing.v), if digits of w bits are enough; spread is at least the sum of a column's absolute values. *)
Definition per_block : nat := 24.
Open Scope Z_scope.
Definition packed_product (w spread : Z) (k n : nat) (W : nat -> nat -> Z) (c : nat -> Z) : (nat -> Z) -> nat -> Z :=
  let count := S (n / per_block) in
  let half := 2 ^ (w - 1) in
  let mask := Z.ones w in
  let column i y := if (y <? n)%nat then W i y else 0%Z in
  let rows := memo1 count (fun j => memo1 k (fun i => pack w per_block (fun z => column i (j * per_block + z)%nat))) in
  let offsets := memo1 count (fun j => pack w per_block (fun z => let y := (j * per_block + z)%nat in if (y <? n)%nat then c y
    + half else half)) in
  let most_constant := zmax n (fun y => Z.abs (c y)) in
  let constants := memo1 n c in
  fun x =>
    let most := zmax k (fun i => Z.abs (x i)) in
    if (1 <=? w) && (most * spread + most_constant <? half) then
      let sums := memo1 count (fun j => let row := rows j in zsum k (fun i => x i * row i) + offsets j) in
      memo1 n (fun y => digit w mask (y mod per_block) (sums (y / per_block)%nat) - half)
    else memo1 n (fun y => zsum k (fun i => x i * W i y) + constants y).
Close Scope Z_scope.
Lemma packed_product_eq w spread k n W c x y : (forall y, (y < n)%nat -> zsum k (fun i => Z.abs (W i y)) <= spread)%Z -> (y <
  n)%nat ->
  packed_product w spread k n W c x y = (zsum k (fun i => x i * W i y) + c y)%Z.
Proof.
  intros S Y. unfold packed_product. cbv zeta. set (half := (2 ^ (w - 1))%Z). set (most := zmax k (fun i => Z.abs (x i))).
  set (most_constant := zmax n _). destruct ((1 <=? w)%Z && (most * spread + most_constant <? half)%Z) eqn:F;
    rewrite !memo1_eq; [|auto].
  apply andb_prop in F as [W1 F]. apply Z.leb_le in W1. apply Z.ltb_lt in F.
  assert (D : (2 ^ w = 2 * half)%Z) by (unfold half; rewrite <- Z.pow_succ_r by lia; f_equal; lia).
  assert (B : forall y, (y < n)%nat -> (Z.abs (zsum k (fun i => x i * W i y)) <= most * spread)%Z).
  { intros z Hz. eapply Z.le_trans; [apply (sum_bound k (fun i => x i) (fun i => W i z) (fun i => Z.abs (W i z))); intros;
    lia|].
    apply Z.le_trans with (zsum k (fun i => most * Z.abs (W i z)))%Z.
    - apply zsum_le. intros i Hi. assert (M := zmax_ge k (fun i => Z.abs (x i)) i Hi). cbn beta in M. fold most in M. nia.
    - rewrite zsum_scal. specialize (S z Hz). destruct k as [|k']; [cbn; unfold most; cbn; assert (0 <= Z.abs (x O))%Z by lia;
      cbn in S; nia|].
      assert (M := zmax_ge (Datatypes.S k') (fun i => Z.abs (x i)) O ltac:(lia)). cbn beta in M. fold most in M. nia. }
  assert (Hmc : forall y, (y < n)%nat -> (Z.abs (c y) <= most_constant)%Z) by (intros;
    now apply (zmax_ge n (fun y => Z.abs (c y)))).
  set (j := (y / per_block)%nat). set (f z := let u := (j * per_block + z)%nat in
    if (u <? n)%nat then (zsum k (fun i => x i * W i u) + c u + half)%Z else half).
  assert (E : (zsum k (fun i => x i * memo1 k (fun i0 => pack w per_block (fun z => if (j * per_block + z <? n)%nat then W i0
    (j * per_block + z)%nat else 0)) i) +
    pack w per_block (fun z => if (j * per_block + z <? n)%nat then c (j * per_block + z)%nat + half else half) = pack w
      per_block f)%Z).
  { rewrite (pack_ext w ltac:(lia) per_block f (fun z => zsum k (fun i => x i * (if (j * per_block + z <? n)%nat then W i (j *
    per_block + z)%nat else 0))
      + (if (j * per_block + z <? n)%nat then c (j * per_block + z)%nat + half else half)))%Z.
    - rewrite pack_plus, (pack_zsum w per_block k (fun i z => x i * (if (j * per_block + z <? n)%nat then W i (j * per_block +
      z)%nat else 0))%Z) by lia.
      f_equal. apply zsum_ext; intros i _. now rewrite memo1_eq, pack_scal by lia.
    - intros z _. unfold f. cbv zeta. destruct (_ <? n)%nat; [lia|]. rewrite (zsum_ext k _ (fun _ => 0%Z)), zsum_0 by (intros;
      lia). lia. }
  assert (Ys : (j * per_block + y mod per_block = y)%nat).
  { unfold j. rewrite (Nat.div_mod y per_block) at 3 by (unfold per_block; lia). lia. }
  rewrite E, digit_pack; [|lia|reflexivity| |apply Nat.mod_upper_bound; unfold per_block; lia].
  - unfold f. cbv zeta. rewrite Ys, (proj2 (Nat.ltb_lt y n) Y). lia.
  - intros z _. unfold f. cbv zeta. destruct (Nat.ltb_spec (j * per_block + z) n) as [Q|Q]; [|unfold half in *; lia].
    specialize (B _ Q). specialize (Hmc _ Q). lia.
Qed.

(* Linear maps of k numbers to n, with weights in units of 2^-e, and biases. *)
Definition linear (e : Z) (k n : nat) (W : nat -> nat -> Z) (b : nat -> Z) : vector -> vector :=
  let spread := zmax n (fun j => zsum k (fun i => Z.abs (W i j))) in
  let product := packed_product (p + 16 + Z.log2 spread) spread k n W (fun j => Z.shiftl (b j) p) in
  fun v =>
    let sums := product (mid v) in
    Vector (memo1 n (fun j => fshr (sums j) e)) (cshr (err v * spread) e + 1).

Lemma linear_holds e k n W b v x : (0 <= e)%Z -> holds k v x ->
  holds n (linear e k n W b v) (fun j => rsum k (fun i => x i * (IZR (W i j) / IZR (2 ^ e))) + IZR (b j) / IZR (2 ^ e)).
Proof.
  intros He H j Hj. unfold linear. cbv zeta. cbn [mid err]. rewrite !memo1_eq.
  rewrite packed_product_eq; [|intros y Hy; now apply (zmax_ge n (fun j => zsum k (fun i => Z.abs (W i j))))|auto].
  assert (E := pw_pos e He). apply rounded; auto.
  rewrite Z.shiftl_mul_pow2, plus_IZR, mult_IZR, <- rsum_IZR by lia.
  replace ((rsum k (fun i => x i * (IZR (W i j) / IZR (2 ^ e))) + IZR (b j) / IZR (2 ^ e)) * P * IZR (2 ^ e)
    - (rsum k (fun i => IZR (mid v i * W i j)) + IZR (b j) * P))
  with (rsum k (fun i => (x i * P - IZR (mid v i)) * IZR (W i j))).
  2:{ replace ((rsum k (fun i => x i * (IZR (W i j) / IZR (2 ^ e))) + IZR (b j) / IZR (2 ^ e)) * P * IZR (2 ^ e))
      with (rsum k (fun i => x i * (IZR (W i j) / IZR (2 ^ e))) * (P * IZR (2 ^ e)) + IZR (b j) * P) by (field; lra).
      rewrite <- rsum_scal_r.
      rewrite (rsum_ext k (fun i => x i * (IZR (W i j) / IZR (2 ^ e)) * (P * IZR (2 ^ e))) (fun i => x i * P * IZR (W i j)))
        by (intros; field; lra).
      rewrite (rsum_ext k (fun i => (x i * P - IZR (mid v i)) * IZR (W i j)) (fun i => x i * P * IZR (W i j) - IZR (mid v i * W
        i j)))
        by (intros; rewrite mult_IZR; ring).
      rewrite rsum_minus. ring. }
  eapply Rle_trans; [apply rsum_abs|].
  apply Rle_trans with (IZR (err v) * rsum k (fun i => IZR (Z.abs (W i j)))).
  - rewrite <- rsum_scal. apply rsum_le. intros i Hi. rewrite Rabs_mult, abs_IZR. apply Rmult_le_compat_r; [apply Rabs_pos|].
    now apply H.
  - destruct k as [|k]; [cbn [rsum]; rewrite Rmult_0_r|].
    { assert (S0 : (zmax n (fun _ => 0) = 0)%Z) by (clear; induction n; cbn [zmax]; lia). cbn [zsum]. rewrite S0, Z.mul_0_r.
      lra. }
    rewrite rsum_IZR, mult_IZR. apply Rmult_le_compat_l.
    + eapply Rle_trans; [apply Rabs_pos|]. apply (H O). lia.
    + apply (zmax_IZR n (fun j => zsum (S k) (fun i => Z.abs (W i j)))); auto.
Qed.

(* Coordinate by coordinate: times weights, plus biases. *)
Definition scaled_by (e : Z) (n : nat) (W b : nat -> Z) : vector -> vector :=
  let most := zmax n (fun i => Z.abs (W i)) in
  let weights := memo1 n W in
  let biases := memo1 n (fun j => Z.shiftl (b j) p) in
  fun v => Vector (memo1 n (fun i => fshr (mid v i * weights i + biases i) e)) (cshr (err v * most) e + 1).
Lemma scaled_by_holds e n W b v x : (0 <= e)%Z -> holds n v x ->
  holds n (scaled_by e n W b v) (fun i => x i * (IZR (W i) / IZR (2 ^ e)) + IZR (b i) / IZR (2 ^ e)).
Proof.
  intros He H i Hi. unfold scaled_by. cbv zeta. cbn [mid err]. rewrite !memo1_eq. assert (E := pw_pos e He).
  apply rounded; auto.
  rewrite Z.shiftl_mul_pow2, plus_IZR, !mult_IZR by lia.
  replace ((x i * (IZR (W i) / IZR (2 ^ e)) + IZR (b i) / IZR (2 ^ e)) * P * IZR (2 ^ e)
    - (IZR (mid v i) * IZR (W i) + IZR (b i) * P)) with ((x i * P - IZR (mid v i)) * IZR (W i)) by (field; lra).
  rewrite Rabs_mult. apply Rmult_le_compat; try apply Rabs_pos; [now apply H|].
  rewrite <- abs_IZR. apply (zmax_IZR n (fun i => Z.abs (W i))); auto.
Qed.

(* Sums of two, and relu. *)
Definition plus (n : nat) (v w : vector) : vector := Vector (memo1 n (fun i => mid v i + mid w i)%Z) (err v + err w).
Lemma plus_holds n v w x y : holds n v x -> holds n w y -> holds n (plus n v w) (fun i => x i + y i).
Proof.
  intros H G i Hi. specialize (H i Hi). specialize (G i Hi). apply within_iff in H, G. apply within_iff.
  cbn [mid err plus]. rewrite memo1_eq, !plus_IZR. lra.
Qed.
Definition relu_of (n : nat) (v : vector) : vector := Vector (memo1 n (fun i => Z.max 0 (mid v i))) (err v).
Lemma relu_holds n v x : holds n v x -> holds n (relu_of n v) (fun i => Rmax 0 (x i)).
Proof.
  intros H i Hi. specialize (H i Hi). apply within_iff in H. apply within_iff. cbn [mid err relu_of]. rewrite memo1_eq.
  assert (W := P_pos). destruct (Z.max_spec 0 (mid v i)) as [[L ->]|[L ->]]; [apply IZR_lt in L|apply IZR_le in L];
    unfold Rmax; destruct (Rle_dec 0 (x i)) as [M|M]; nra.
Qed.

(* Divided by a number s between low and high, in units of 2^-p. *)
Definition over (n : nat) (v : vector) (low high : Z) : vector :=
  let most := zmax n (fun i => Z.abs (mid v i)) in
  let middle := ((low + high) / 2)%Z in
  let off := Z.max (middle - low) (high - middle) in
  Vector (memo1 n (fun i => Z.shiftl (mid v i) p / middle)%Z)
    (cdiv (Z.shiftl (err v * middle + most * off) p) (low * middle) + 1).
Lemma over_holds n v x s low high : (0 < low)%Z -> IZR low <= s * P <= IZR high -> holds n v x ->
  holds n (over n v low high) (fun i => x i / s).
Proof.
  intros L S H i Hi. specialize (H i Hi). unfold over. cbv zeta. cbn [mid err]. rewrite memo1_eq.
  assert (M := zmax_IZR n (fun i => Z.abs (mid v i)) i Hi). cbn beta in M. rewrite abs_IZR in M.
  set (most := zmax n (fun i => Z.abs (mid v i))) in *. assert (W := P_pos).
  assert (LH : (low <= high)%Z) by (apply le_IZR; lra).
  assert (Bm : (low <= (low + high) / 2)%Z) by (apply Z.div_le_lower_bound; lia).
  set (middle := ((low + high) / 2)%Z) in *. set (off := Z.max (middle - low) (high - middle)).
  assert (L' : 0 < IZR low) by now apply IZR_lt. assert (Lm : IZR low <= IZR middle) by now apply IZR_le.
  unfold within in *. rewrite !Z.shiftl_mul_pow2 by lia.
  set (X := x i * P) in *. set (m := mid v i) in *. set (r := err v) in *. set (Q := s * P) in *.
  assert (Off : Rabs (IZR middle - Q) <= IZR off).
  { apply Rabs_le. assert (O1 : IZR (middle - low) <= IZR off) by (apply IZR_le; lia).
    assert (O2 : IZR (high - middle) <= IZR off) by (apply IZR_le; lia).
    rewrite minus_IZR in O1, O2. lra. }
  assert (Sp : 0 < s) by (unfold Q in S; apply Rmult_lt_reg_r with P; lra).
  replace (x i / s * P) with (X * P / Q) by (unfold X, Q; field; lra).
  assert (D1 := div_le (m * 2 ^ p) middle ltac:(lia)). assert (D2 := div_lt (m * 2 ^ p) middle ltac:(lia)).
  assert (C := cdiv_ge ((r * middle + most * off) * 2 ^ p) (low * middle) ltac:(apply Z.mul_pos_pos; lia)).
  set (c := cdiv _ _) in *. rewrite !mult_IZR, plus_IZR, !mult_IZR in C. rewrite mult_IZR in D1, D2.
  set (t := IZR (m * 2 ^ p / middle)) in *. set (g := IZR middle) in *. set (a := IZR low) in *.
  assert (R : Rabs (IZR m * P / g - t) <= 1).
  { apply Rabs_le. split; apply Rmult_le_reg_r with g; try lra; unfold Rdiv;
    rewrite Rmult_minus_distr_r, Rmult_assoc, Rinv_l by lra; lra. }
  assert (Z : Rabs (X * P / Q - IZR m * P / g) <= IZR c).
  { assert (Qp : 0 < Q) by lra.
    replace (X * P / Q - IZR m * P / g) with (P * / (Q * g) * ((X - IZR m) * g + IZR m * (g - Q))) by (field; lra).
    assert (I : 0 < / (Q * g)) by (apply Rinv_0_lt_compat; nra).
    rewrite Rabs_mult, (Rabs_pos_eq (P * / (Q * g))) by (apply Rmult_le_pos; lra).
    assert (T : Rabs ((X - IZR m) * g + IZR m * (g - Q)) <= IZR r * g + IZR most * IZR off).
    { eapply Rle_trans; [apply Rabs_triang|]. rewrite !Rabs_mult, (Rabs_pos_eq g) by lra.
      assert (A := Rabs_pos (IZR m)). assert (A2 := Rabs_pos (g - Q)). apply Rplus_le_compat; [apply Rmult_le_compat_r; lra|].
      apply Rmult_le_compat; lra. }
    assert (N : 0 <= IZR r * g + IZR most * IZR off) by (eapply Rle_trans; [apply Rabs_pos|exact T]).
    apply Rle_trans with (P * / (a * g) * (IZR r * g + IZR most * IZR off)).
    - apply Rmult_le_compat; try apply Rabs_pos; auto.
      + apply Rmult_le_pos; lra.
      + apply Rmult_le_compat_l; [lra|]. apply Rinv_le_contravar; nra.
    - apply Rmult_le_reg_r with (a * g); [nra|].
      replace (P * / (a * g) * (IZR r * g + IZR most * IZR off) * (a * g)) with ((IZR r * g + IZR most * IZR off) * P) by
        (field; lra). lra. }
  rewrite plus_IZR. replace (X * P / Q - t) with ((X * P / Q - IZR m * P / g) + (IZR m * P / g - t)) by ring.
  eapply Rle_trans; [apply Rabs_triang|]. lra.
Qed.

(* Less their mean. *)
Definition centred_of (n : nat) (v : vector) : vector :=
  let mean := (zsum n (mid v) / Z.of_nat n)%Z in Vector (memo1 n (fun i => mid v i - mean)%Z) (2 * err v + 1).
Lemma centred_holds n v x : holds n v x -> holds n (centred_of n v) (fun i => x i - rsum n x / INR n).
Proof.
  intros H i Hi. unfold centred_of. cbn [mid err]. rewrite memo1_eq. assert (W := P_pos).
  assert (N : (0 < Z.of_nat n)%Z) by lia. assert (D1 := div_le (zsum n (mid v)) _ N).
  assert (D2 := div_lt (zsum n (mid v)) _ N).
  rewrite <- INR_IZR_INZ in D1, D2. set (mean := IZR (zsum n (mid v) / Z.of_nat n)) in *.
  assert (NR : 0 < INR n) by (apply lt_0_INR; lia).
  assert (S : Rabs (rsum n x * P - IZR (zsum n (mid v))) <= INR n * IZR (err v)).
  { rewrite <- rsum_scal_r, <- rsum_IZR, <- rsum_minus. eapply Rle_trans; [apply rsum_abs|].
    apply Rle_trans with (rsum n (fun _ => IZR (err v))); [apply rsum_le; intros; now apply H|].
    rewrite rsum_const. lra. }
  specialize (H i Hi). apply within_iff in H. apply between in S.
  apply within_iff. rewrite minus_IZR, plus_IZR, mult_IZR. fold mean.
  replace ((x i - rsum n x / INR n) * P) with (x i * P - rsum n x * P / INR n) by (field; lra).
  assert (Q : mean - IZR (err v) <= rsum n x * P / INR n <= mean + 1 + IZR (err v)).
  { split; apply Rmult_le_reg_r with (INR n); auto; unfold Rdiv; rewrite (Rmult_assoc _ (/ INR n)), Rinv_l by lra; nra. }
  lra.
Qed.

(* The root of the mean square plus eps: between two integers, in units of 2^-p; None if it is not proved to be positive. *)
Definition root_of (n : nat) (en ed : Z) (v : vector) : option (Z * Z) :=
  let least := zsum n (fun i => let a := Z.max 0 (Z.abs (mid v i) - err v) in a * a)%Z in
  let most := zsum n (fun i => let a := (Z.abs (mid v i) + err v) in a * a)%Z in
  let low := Z.sqrt (least / Z.of_nat n + Z.shiftl en (2 * p) / ed) in
  let high := (Z.sqrt (cdiv most (Z.of_nat n) + cdiv (Z.shiftl en (2 * p)) ed) + 1)%Z in
  if (0 <? low)%Z then Some (low, high) else None.
Definition root_mean (n : nat) (en ed : Z) (x : nat -> R) : R := sqrt (rsum n (fun i => x i ^ 2) / INR n + IZR en / IZR ed).

Lemma sqrt_low a y : 0 <= y -> IZR a <= y -> IZR (Z.sqrt a) <= sqrt y.
Proof.
  intros Y H. destruct (Z.lt_ge_cases a 0) as [N|N].
  { rewrite Z.sqrt_neg by auto. apply sqrt_pos. }
  assert (S := Z.sqrt_spec a N). cbv zeta in S. unfold Z.succ in S. assert (G := Z.sqrt_nonneg a).
  rewrite <- (sqrt_square (IZR (Z.sqrt a))) by now apply IZR_le.
  apply sqrt_le_1_alt. rewrite <- mult_IZR. eapply Rle_trans; [|exact H]. apply IZR_le. lia.
Qed.
Lemma sqrt_high a y : y <= IZR a -> sqrt y <= IZR (Z.sqrt a + 1).
Proof.
  intros H. destruct (Z.lt_ge_cases a 0) as [N|N].
  { rewrite Z.sqrt_neg by auto. rewrite sqrt_neg_0; [cbn; lra|]. apply Rle_trans with (IZR a); auto. apply (IZR_le a 0). lia. }
  assert (S := Z.sqrt_spec a N). cbv zeta in S. unfold Z.succ in S. assert (G := Z.sqrt_nonneg a).
  rewrite <- (sqrt_square (IZR (Z.sqrt a + 1))) by (apply IZR_le; lia).
  apply sqrt_le_1_alt. rewrite <- mult_IZR. eapply Rle_trans; [exact H|]. apply IZR_le. lia.
Qed.
Lemma Z_div_le a b : (0 < b)%Z -> IZR (a / b) <= IZR a / IZR b.
Proof.
  intros H. assert (B : 0 < IZR b) by now apply IZR_lt. apply Rmult_le_reg_r with (IZR b); auto.
  unfold Rdiv. rewrite Rmult_assoc, Rinv_l, Rmult_1_r by lra. now apply div_le.
Qed.
Lemma Z_cdiv_ge a b : (0 < b)%Z -> IZR a / IZR b <= IZR (cdiv a b).
Proof.
  intros H. assert (B : 0 < IZR b) by now apply IZR_lt. apply Rmult_le_reg_r with (IZR b); auto.
  unfold Rdiv. rewrite Rmult_assoc, Rinv_l, Rmult_1_r by lra. now apply cdiv_ge.
Qed.

Lemma root_of_holds n en ed v x low high : (0 < n)%nat -> (0 <= en)%Z -> (0 < ed)%Z -> holds n v x ->
  root_of n en ed v = Some (low, high) ->
  (0 < low)%Z /\ IZR low <= root_mean n en ed x * P <= IZR high.
Proof.
  intros Hn He Hd H. unfold root_of. cbv zeta.
  set (least := zsum n _). set (most := zsum n (fun i => _)).
  assert (Z.shiftl en (2 * p) = en * (2 ^ p * 2 ^ p))%Z as ->.
  { rewrite Z.shiftl_mul_pow2, <- Z.pow_add_r by lia. do 2 f_equal. lia. }
  remember (en * (2 ^ p * 2 ^ p))%Z as ens eqn:Ens. destruct (Z.ltb_spec 0 (Z.sqrt (least / Z.of_nat n + ens / ed))) as [L|];
    [|discriminate].
  intros E. injection E as <- <-. split; auto. clear L. subst ens. assert (W := P_pos).
  assert (NR : 0 < INR n) by (apply lt_0_INR; lia). assert (D : 0 < IZR ed) by now apply IZR_lt.
  assert (En : 0 <= IZR en) by now apply IZR_le.
  set (y := rsum n (fun i => x i ^ 2) / INR n + IZR en / IZR ed).
  assert (Sq : 0 <= rsum n (fun i => x i ^ 2)) by (rewrite <- (rsum_0 n); apply rsum_le; intros; apply pow2_ge_0).
  assert (Y : 0 <= y). { unfold y, Rdiv. apply Rplus_le_le_0_compat; apply Rmult_le_pos; auto;
    now apply Rlt_le, Rinv_0_lt_compat. }
  unfold root_mean. fold y. replace (sqrt y * P) with (sqrt (y * (P * P))) by (rewrite sqrt_mult, sqrt_square; nra).
  assert (B1 : IZR least <= rsum n (fun i => x i ^ 2) * (P * P)).
  { unfold least. rewrite <- rsum_IZR, <- rsum_scal_r. apply rsum_le. intros i Hi. specialize (H i Hi). unfold within in H.
    rewrite mult_IZR.
    replace (x i ^ 2 * (P * P)) with (Rabs (x i * P) * Rabs (x i * P)) by (rewrite <- Rabs_mult, Rabs_pos_eq by nra; ring).
    assert (G : Rabs (IZR (mid v i)) - Rabs (x i * P) <= IZR (err v)).
    { eapply Rle_trans; [apply Rabs_triang_inv|]. now rewrite Rabs_minus_sym. }
    rewrite <- abs_IZR in G. assert (A := Rabs_pos (x i * P)).
    destruct (Z.max_spec 0 (Z.abs (mid v i) - err v)) as [[Q ->]|[Q ->]]; [|cbn; nra].
    rewrite minus_IZR. apply IZR_lt in Q. rewrite minus_IZR in Q. apply Rmult_le_compat; lra. }
  assert (B2 : rsum n (fun i => x i ^ 2) * (P * P) <= IZR most).
  { unfold most. rewrite <- rsum_IZR, <- rsum_scal_r. apply rsum_le. intros i Hi. specialize (H i Hi). unfold within in H.
    rewrite mult_IZR.
    replace (x i ^ 2 * (P * P)) with (Rabs (x i * P) * Rabs (x i * P)) by (rewrite <- Rabs_mult, Rabs_pos_eq by nra; ring).
    assert (G : Rabs (x i * P) - Rabs (IZR (mid v i)) <= IZR (err v)) by (eapply Rle_trans; [apply Rabs_triang_inv|]; auto).
    rewrite <- abs_IZR in G. assert (A := Rabs_pos (x i * P)). rewrite plus_IZR. apply Rmult_le_compat; lra. }
  assert (NZ : (0 < Z.of_nat n)%Z) by lia.
  assert (Yp : y * (P * P) = rsum n (fun i => x i ^ 2) * (P * P) / IZR (Z.of_nat n) + IZR (en * (2 ^ p * 2 ^ p)) / IZR ed).
  { rewrite <- INR_IZR_INZ, !mult_IZR. unfold y. field. lra. }
  assert (NI : 0 < / IZR (Z.of_nat n)) by (apply Rinv_0_lt_compat; now apply IZR_lt).
  split.
  - apply sqrt_low; [nra|]. rewrite Yp, plus_IZR. apply Rplus_le_compat; [|now apply Z_div_le].
    eapply Rle_trans; [now apply Z_div_le|]. apply Rmult_le_compat_r; lra.
  - apply sqrt_high. rewrite Yp, plus_IZR. apply Rplus_le_compat; [|now apply Z_cdiv_ge].
    eapply Rle_trans; [|now apply Z_cdiv_ge]. apply Rmult_le_compat_r; lra.
Qed.

(* A positive number as a scale. *)
Definition root_of_size (n : nat) : Z * Z := let r := Z.sqrt (Z.shiftl (Z.of_nat n) (2 * p)) in (r, (r + 1)%Z).
Lemma root_of_size_holds n : IZR (fst (root_of_size n)) <= sqrt (INR n) * P <= IZR (snd (root_of_size n)).
Proof.
  cbn [root_of_size fst snd]. assert (W := P_pos).
  rewrite Z.shiftl_mul_pow2 by lia. replace (2 ^ (2 * p))%Z with (2 ^ p * 2 ^ p)%Z by (rewrite <- Z.pow_add_r by lia; f_equal;
    lia).
  replace (sqrt (INR n) * P) with (sqrt (INR n * (P * P))) by (rewrite sqrt_mult, sqrt_square; try nra; apply pos_INR).
  assert (E : INR n * (P * P) = IZR (Z.of_nat n * (2 ^ p * 2 ^ p))) by (rewrite !mult_IZR, <- INR_IZR_INZ; auto).
  split; [apply sqrt_low|apply sqrt_high]; try lra. assert (0 <= INR n) by apply pos_INR. nra.
Qed.
Definition quotient (a b : Z) : Z * Z := let s := Z.shiftl a p in (s / b, cdiv s b)%Z.
Lemma quotient_holds a b : (0 < b)%Z -> IZR (fst (quotient a b)) <= IZR a / IZR b * P <= IZR (snd (quotient a b)).
Proof.
  intros H. cbn [quotient fst snd]. rewrite Z.shiftl_mul_pow2 by lia. assert (B : 0 < IZR b) by now apply IZR_lt.
  replace (IZR a / IZR b * P) with (IZR (a * 2 ^ p) / IZR b) by (rewrite mult_IZR; field; lra).
  split; [now apply Z_div_le|now apply Z_cdiv_ge].
Qed.
End Vectors.
