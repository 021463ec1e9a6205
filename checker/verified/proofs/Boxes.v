(* Boxes of numbers, in units of 2^-p: sums of products, activations and norms of what may be anything in a box. *)
From Coq Require Import Reals Lra Lia ZArith List Arith Bool.
From CompactProofs Require Import Semantics Counting PrefixChains Exponential MatrixProduct Vectors Attention Transformers
  GeluBoxes.
Import ListNotations.
Open Scope R_scope.

Definition box : Type := nat -> Z * Z.
Definition zero_box : box := fun _ => (0%Z, 0%Z).
(* Bounds, in units of 2^-k, of a sum of numbers z i, which are between bounds, times w i: twice the bounds. *)
Definition low_sum (n : nat) (b : box) (w : nat -> Z) : Z := zsum n (fun i => (fst (b i) + snd (b i)) * w i - (snd (b i) - fst
  (b i)) * Z.abs (w i))%Z.
Lemma low_sum_le n b w z u : (forall i, (i < n)%nat -> IZR (fst (b i)) <= z i * u <= IZR (snd (b i))) ->
  IZR (low_sum n b w) <= 2 * u * rsum n (fun i => z i * IZR (w i)).
Proof.
  intros H. unfold low_sum. rewrite <- rsum_IZR, <- rsum_scal. apply rsum_le. intros i Hi. specialize (H i Hi).
  rewrite minus_IZR, !mult_IZR, plus_IZR, minus_IZR, abs_IZR. set (lo := IZR (fst (b i))) in *.
  set (hi := IZR (snd (b i))) in *.
  set (v := IZR (w i)). set (y := z i * u) in *. replace (2 * u * (z i * v)) with (2 * (y * v)) by (unfold y; ring).
  unfold Rabs. destruct (Rcase_abs v).
  - assert (0 <= (hi - y) * - v) by (apply Rmult_le_pos; lra). lra.
  - assert (0 <= (y - lo) * v) by (apply Rmult_le_pos; lra). lra.
Qed.
Lemma low_sum_ge n b w z u : (forall i, (i < n)%nat -> IZR (fst (b i)) <= z i * u <= IZR (snd (b i))) ->
  2 * u * rsum n (fun i => z i * IZR (w i)) <= IZR (- low_sum n b (fun i => - w i)%Z).
Proof.
  intros H. rewrite opp_IZR. assert (L := low_sum_le n b (fun i => (- w i)%Z) z u H). cbn beta in L.
  replace (rsum n (fun i => z i * IZR (- w i))) with (- rsum n (fun i => z i * IZR (w i))) in L; [lra|].
  clear. induction n; cbn [rsum]; [ring|]. rewrite <- IHn, opp_IZR. ring.
Qed.
(* Of all columns at once, packed. *)
Definition low_sums (w spread : Z) (n O : nat) (W : nat -> nat -> Z) : box -> nat -> Z :=
  let plain := packed_product w spread n O W (fun _ => 0%Z) in
  let absolute := packed_product w spread n O (fun i o => Z.abs (W i o)) (fun _ => 0%Z) in
  fun b =>
    let s := plain (fun i => fst (b i) + snd (b i))%Z in
    let t := absolute (fun i => snd (b i) - fst (b i))%Z in
    fun o => (s o - t o)%Z.
Definition spread_of (n O : nat) (W : nat -> nat -> Z) : Z := zmax O (fun o => zsum n (fun i => Z.abs (W i o))).
Lemma low_sums_eq w n O W b o : (o < O)%nat -> low_sums w (spread_of n O W) n O W b o = low_sum n b (fun i => W i o).
Proof.
  intros L. assert (S : forall y, (y < O)%nat -> (zsum n (fun i => Z.abs (W i y)) <= spread_of n O W)%Z).
  { intros y Y. now apply (zmax_ge O (fun o => zsum n (fun i => Z.abs (W i o)))). }
  unfold low_sums. cbv zeta. rewrite !packed_product_eq; auto.
  - unfold low_sum. rewrite !Z.add_0_r. clear. induction n; cbn [zsum]; lia.
  - intros y Y. rewrite (zsum_ext n _ (fun i => Z.abs (W i y))); auto. intros; lia.
Qed.

Lemma max_IZR_ge r u v : r <= IZR u \/ r <= IZR v -> r <= IZR (Z.max u v).
Proof. intros [H|H]; (eapply Rle_trans; [exact H|]); apply IZR_le; lia. Qed.
Lemma min_IZR_le r u v : IZR u <= r \/ IZR v <= r -> IZR (Z.min u v) <= r.
Proof. intros [H|H]; (eapply Rle_trans; [|exact H]); apply IZR_le; lia. Qed.

(* silu falls up to a point where 1 + x + exp x is 0, and rises from there; and it is at least -c, if c is at least exp (- (1 +
   c)). *)
Definition silu (x : R) : R := x / (1 + exp (- x)).
Lemma silu_rises a b : a <= b -> 0 <= 1 + a + exp a -> silu a <= silu b.
Proof.
  intros L G. unfold silu. assert (Xa := exp_pos (- a)). assert (Xb := exp_pos (- b)). assert (Ea := exp_pos a).
  assert (M : exp a * exp (- a) = 1) by (rewrite <- exp_plus, Rplus_opp_r; apply exp_0).
  assert (E : exp (- b) = exp (- a) * exp (- (b - a))) by (rewrite <- exp_plus; f_equal; ring).
  assert (I := exp_ineq1_le (- (b - a))). set (h := b - a) in *. set (t := exp (- h)) in *. set (s := exp (- a)) in *.
  assert (T1 : t <= 1).
  { unfold t. rewrite <- exp_0. destruct (Req_dec (- h) 0) as [->|]; [lra|left; apply exp_increasing; unfold h in *; lra]. }
  assert (K : 0 <= h * exp a + a * (1 - t) + h).
  { assert (H0 : 0 <= h) by (unfold h; lra). destruct (Rle_dec 0 a) as [A0|A0]; [assert (0 <= a * (1 - t)) by (apply
      Rmult_le_pos;
    lra); nra|]. assert (a * h <= a * (1 - t)) by nra. nra. }
  assert (K2 : 0 <= b * (1 + s) - a * (1 + exp (- b))).
  { rewrite E. replace (b * (1 + s) - a * (1 + s * t)) with (h + s * (a * (1 - t) + h)) by (unfold h; ring).
    replace h with (h * (exp a * s)) at 1 by (rewrite M; ring).
    replace (h * (exp a * s) + s * (a * (1 - t) + h)) with (s * (h * exp a + a * (1 - t) + h)) by ring. apply Rmult_le_pos;
      lra. }
  apply Rmult_le_reg_r with ((1 + s) * (1 + exp (- b))); [nra|].
  replace (a / (1 + s) * ((1 + s) * (1 + exp (- b)))) with (a * (1 + exp (- b))) by (field; lra).
  replace (b / (1 + exp (- b)) * ((1 + s) * (1 + exp (- b)))) with (b * (1 + s)) by (field; lra). lra.
Qed.
Lemma silu_falls a b : a <= b -> 1 + b + exp b <= 0 -> silu b <= silu a.
Proof.
  intros L G. unfold silu. assert (Xa := exp_pos (- a)). assert (Xb := exp_pos (- b)). assert (Eb := exp_pos b).
  assert (M : exp b * exp (- b) = 1) by (rewrite <- exp_plus, Rplus_opp_r; apply exp_0).
  assert (E : exp (- a) = exp (- b) * exp (b - a)) by (rewrite <- exp_plus; f_equal; ring).
  assert (I := exp_ineq1_le (b - a)). set (h := b - a) in *. set (t := exp h) in *. set (s := exp (- b)) in *.
  assert (H0 : 0 <= h) by (unfold h; lra).
  assert (K : h * (exp b + 1) + b * (t - 1) <= 0) by (assert (b * (t - 1) <= b * h) by nra; nra).
  assert (K2 : b * (1 + exp (- a)) - a * (1 + s) <= 0).
  { rewrite E. replace (b * (1 + s * t) - a * (1 + s)) with (h + s * (b * (t - 1) + h)) by (unfold h; ring).
    replace h with (h * (exp b * s)) at 1 by (rewrite M; ring).
    replace (h * (exp b * s) + s * (b * (t - 1) + h)) with (s * (h * (exp b + 1) + b * (t - 1))) by ring. nra. }
  apply Rmult_le_reg_r with ((1 + s) * (1 + exp (- a))); [nra|].
  replace (b / (1 + s) * ((1 + s) * (1 + exp (- a)))) with (b * (1 + exp (- a))) by (field; lra).
  replace (a / (1 + exp (- a)) * ((1 + s) * (1 + exp (- a)))) with (a * (1 + s)) by (field; lra). lra.
Qed.
Lemma silu_least c x : 0 < c -> exp (- (1 + c)) <= c -> - c <= silu x.
Proof.
  intros C H. unfold silu. assert (X := exp_pos (- x)). assert (Ec := exp_pos (1 + c)).
  assert (M : exp (1 + c) * exp (- (1 + c)) = 1) by (rewrite <- exp_plus, Rplus_opp_r; apply exp_0).
  assert (E : exp (- x) = exp (1 + c) * exp (- (x + 1 + c))) by (rewrite <- exp_plus; f_equal; ring).
  assert (I := exp_ineq1_le (- (x + 1 + c))). assert (C1 : 1 <= c * exp (1 + c)) by nra.
  assert (K : 0 <= x + c + c * exp (- x)).
  { destruct (Rle_dec 0 (x + c)) as [P|N]; [nra|]. assert (Q : - (x + c) <= exp (- (x + 1 + c))) by lra.
    rewrite E. set (u := exp (- (x + 1 + c))) in *. assert (1 * u <= c * exp (1 + c) * u) by (apply Rmult_le_compat_r; lra).
      lra. }
  apply Rmult_le_reg_r with (1 + exp (- x)); [lra|]. unfold Rdiv. rewrite Rmult_assoc, Rinv_l by lra. lra.
Qed.

(* t / sqrt (t^2 + c) rises. *)
Lemma share_rises a b c : 0 < c -> a <= b -> a / sqrt (a ^ 2 + c) <= b / sqrt (b ^ 2 + c).
Proof.
  intros C L. assert (G : forall u v, 0 <= u <= v -> u / sqrt (u ^ 2 + c) <= v / sqrt (v ^ 2 + c)).
  { intros u v [U V]. assert (Su : 0 < sqrt (u ^ 2 + c)) by (apply sqrt_lt_R0; nra).
    assert (Sv : 0 < sqrt (v ^ 2 + c)) by (apply sqrt_lt_R0; nra).
    apply Rmult_le_reg_r with (sqrt (u ^ 2 + c) * sqrt (v ^ 2 + c)); [nra|].
    replace (u / sqrt (u ^ 2 + c) * (sqrt (u ^ 2 + c) * sqrt (v ^ 2 + c))) with (u * sqrt (v ^ 2 + c)) by (field; lra).
    replace (v / sqrt (v ^ 2 + c) * (sqrt (u ^ 2 + c) * sqrt (v ^ 2 + c))) with (v * sqrt (u ^ 2 + c)) by (field; lra).
    apply Rsqr_incr_0; [|apply Rmult_le_pos; lra|apply Rmult_le_pos; lra].
    unfold Rsqr. replace (u * sqrt (v ^ 2 + c) * (u * sqrt (v ^ 2 + c))) with (u * u * (sqrt (v ^ 2 + c) * sqrt (v ^ 2 + c))) by
      ring. replace (v * sqrt (u ^ 2 + c) * (v * sqrt (u ^ 2 + c))) with (v * v * (sqrt (u ^ 2 + c) * sqrt (u ^ 2 + c))) by
        ring.
    rewrite !sqrt_sqrt by nra. assert (u * u * c <= v * v * c) by (apply Rmult_le_compat_r; nra). lra. }
  assert (Pos : forall u, 0 < sqrt (u ^ 2 + c)) by (intros; apply sqrt_lt_R0; nra).
  destruct (Rle_dec 0 a) as [A|A]; [apply G; lra|]. destruct (Rle_dec 0 b) as [B|B].
  - assert (Ia := Rinv_0_lt_compat _ (Pos a)). assert (Ib := Rinv_0_lt_compat _ (Pos b)). unfold Rdiv. nra.
  - assert (X := G (- b) (- a) ltac:(lra)). replace ((- b) ^ 2) with (b ^ 2) in X by ring. replace ((- a) ^ 2) with (a ^ 2) in X
      by ring. unfold Rdiv in *. lra.
Qed.

Section Boxes.
Variable p : Z.
Hypothesis Hp : (0 <= p)%Z.
Notation P := (IZR (2 ^ p)).
Definition inside (n : nat) (b : box) (f : nat -> R) : Prop := forall k, (k < n)%nat -> IZR (fst (b k)) <= f k * P <= IZR (snd
  (b k)).
Definition between_ (b : Z * Z) (x : R) : Prop := IZR (fst b) <= x * P <= IZR (snd b).
Lemma within_bounds y a : within p y (fst a) (snd a) -> IZR (fst a - snd a) <= y * P <= IZR (fst a + snd a).
Proof. intros F. apply within_iff in F. rewrite minus_IZR, plus_IZR. exact F. Qed.

(* Of an enclosure; and with sums of products of another box's numbers and a matrix of n rows, over unit, added. *)
Definition box_of (n : nat) (v : vector) : box := memo1 n (fun i => (mid v i - err v, mid v i + err v)%Z).
Lemma box_of_ok n v f : holds p n v f -> inside n (box_of n v) f.
Proof. intros H i Hi. unfold box_of. rewrite memo1_eq. cbn [fst snd]. apply (within_bounds (f i) (mid v i, err v)), H, Hi. Qed.
Definition width_for (spread : Z) : Z := (p + 20 + Z.log2 spread)%Z.
Definition sums_of (n c : nat) (M : nat -> nat -> Z) : box -> nat -> Z :=
  let spread := spread_of n c M in low_sums (width_for spread) spread n c M.
Lemma sums_of_eq n c M b i : (i < c)%nat -> sums_of n c M b i = low_sum n b (fun k => M k i).
Proof. intros L. unfold sums_of. cbv zeta. now apply low_sums_eq. Qed.
Definition affine (unit : Z) (n c : nat) (M : nat -> nat -> Z) : box -> box -> box :=
  let low := sums_of n c M in
  let high := sums_of n c (fun k i => - M k i)%Z in
  fun from b =>
    let l := low b in
    let h := high b in
    memo1 c (fun i => (fst (from i) + l i / (2 * unit), snd (from i) + cdiv (- h i) (2 * unit))%Z).
Lemma affine_ok unit n c M from b f z : (0 < unit)%Z -> inside c from f -> inside n b z ->
  inside c (affine unit n c M from b) (fun i => f i + rsum n (fun k => z k * IZR (M k i)) / IZR unit).
Proof.
  intros U F Z i Hi. unfold affine. cbv zeta. rewrite memo1_eq. cbn [fst snd]. rewrite !sums_of_eq, !plus_IZR by auto.
  specialize (F i Hi). assert (L := low_sum_le n b (fun k => M k i) z P Z). assert (G := low_sum_ge n b (fun k => M k i) z P Z).
  set (s := rsum n _) in *. set (l := low_sum n b (fun k => M k i)) in *. set (h := low_sum n b (fun k => - M k i)%Z) in *.
  assert (D1 := div_le l (2 * unit) ltac:(lia)). assert (D2 := cdiv_ge (- h) (2 * unit) ltac:(lia)). rewrite mult_IZR in D1, D2.
  assert (Up : 0 < IZR unit) by now apply IZR_lt.
  assert (E : s / IZR unit * P * (2 * IZR unit) = 2 * P * s) by (field; lra).
  split; [assert (IZR (l / (2 * unit)) <= s / IZR unit * P)|assert (s / IZR unit * P <= IZR (cdiv (- h) (2 * unit)))];
    try lra; apply Rmult_le_reg_r with (2 * IZR unit); lra.
Qed.

(* Products, and constants added: in units of 2^-e. *)
Definition product_of (a b : Z * Z) : Z * Z :=
  let '(a0, a1) := a in let '(b0, b1) := b in
  (fshr (Z.min (Z.min (a0 * b0) (a0 * b1)) (Z.min (a1 * b0) (a1 * b1))) p,
   cshr (Z.max (Z.max (a0 * b0) (a0 * b1)) (Z.max (a1 * b0) (a1 * b1))) p)%Z.
Lemma product_of_ok a b x y : between_ a x -> between_ b y -> between_ (product_of a b) (x * y).
Proof.
  destruct a as [a0 a1], b as [b0 b1]. unfold between_. cbn [fst snd product_of]. intros X Y. assert (W := P_pos p Hp).
  match goal with |- IZR (fshr ?l p) <= _ <= IZR (cshr ?h p) => set (lo := l); set (hi := h) end.
  set (u := x * P) in *. set (v := y * P) in *.
  assert (Lo : IZR lo <= u * v).
  { unfold lo. destruct (Rle_dec 0 v) as [V|V].
    - assert (IZR a0 * v <= u * v) by (apply Rmult_le_compat_r; lra). destruct (Rle_dec 0 (IZR a0)) as [Q|Q].
      + apply min_IZR_le. left. apply min_IZR_le. left. rewrite mult_IZR. nra.
      + apply min_IZR_le. left. apply min_IZR_le. right. rewrite mult_IZR. nra.
    - assert (IZR a1 * v <= u * v) by nra. destruct (Rle_dec 0 (IZR a1)) as [Q|Q].
      + apply min_IZR_le. right. apply min_IZR_le. left. rewrite mult_IZR. nra.
      + apply min_IZR_le. right. apply min_IZR_le. right. rewrite mult_IZR. nra. }
  assert (Hi : u * v <= IZR hi).
  { unfold hi. destruct (Rle_dec 0 v) as [V|V].
    - assert (u * v <= IZR a1 * v) by (apply Rmult_le_compat_r; lra). destruct (Rle_dec 0 (IZR a1)) as [Q|Q].
      + apply max_IZR_ge. right. apply max_IZR_ge. right. rewrite mult_IZR. nra.
      + apply max_IZR_ge. right. apply max_IZR_ge. left. rewrite mult_IZR. nra.
    - assert (u * v <= IZR a0 * v) by nra. destruct (Rle_dec 0 (IZR a0)) as [Q|Q].
      + apply max_IZR_ge. left. apply max_IZR_ge. right. rewrite mult_IZR. nra.
      + apply max_IZR_ge. left. apply max_IZR_ge. left. rewrite mult_IZR. nra. }
  assert (F := fshr_le lo p Hp). assert (C := cshr_ge hi p Hp).
  assert (E : x * y * P * P = u * v) by (unfold u, v; ring).
  split; apply Rmult_le_reg_r with P; lra.
Qed.
Definition raised (a b : Z * Z) : Z * Z := (fst a + fst b, snd a + snd b)%Z.
Lemma raised_ok a b x y : between_ a x -> between_ b y -> between_ (raised a b) (x + y).
Proof. unfold between_. cbn [fst snd raised]. rewrite !plus_IZR. lra. Qed.

(* Activations. *)
Variable expo : Z -> Z * Z.
Hypothesis expo_ok : forall y, (0 <= y)%Z -> IZR (fst (expo y)) <= P * exp (- (IZR y / P)) <= IZR (snd (expo y)).
(* Where silu surely rises, from -t on; where it surely falls, up to -t'; and what it is at least. *)
Record valley := Valley { rises_from : Z; falls_until : Z; least : Z }.
Definition silu_valley : valley :=
  let one := Z.shiftl 1 p in
  let t := (12784645 * one / 10 ^ 7)%Z in
  let t' := (t + one / 10 ^ 7 + 1)%Z in
  let c := (27846455 * one / 10 ^ 8 + 1)%Z in
  Valley (if (0 <=? t)%Z && (0 <=? one - t + fst (expo t))%Z then (- t)%Z else 0%Z)
    (if (0 <=? t')%Z && (one - t' + snd (expo t') <=? 0)%Z then (- t')%Z else (- (2 * one))%Z)
    (if (0 <? c)%Z && (snd (expo (one + c)) <=? c)%Z then (- c)%Z else (- one)%Z).
Definition silu_box (V : valley) (b : Z * Z) : Z * Z :=
  let '(lo, hi) := b in
  let '(m0, r0) := silu_of p expo (lo, 0%Z) in
  let '(m1, r1) := silu_of p expo (hi, 0%Z) in
  ((if (rises_from V <=? lo)%Z then m0 - r0 else if (hi <=? falls_until V)%Z then m1 - r1 else least V)%Z,
   Z.max (m0 + r0) (m1 + r1)).
Lemma one_is_P : IZR (Z.shiftl 1 p) = P.
Proof. now rewrite Z.shiftl_1_l. Qed.
Lemma rises_ok z x : (rises_from silu_valley <= z)%Z -> IZR z <= x * P -> 0 <= 1 + x + exp x.
Proof.
  assert (W := P_pos p Hp). unfold silu_valley. cbv zeta. cbn [rises_from]. set (t := (12784645 * _ / _)%Z).
  assert (E := exp_pos x). destruct ((0 <=? t)%Z && (0 <=? Z.shiftl 1 p - t + fst (expo t))%Z) eqn:C; intros L X.
  - apply andb_prop in C as [C0 C1]. apply Z.leb_le in C0, C1. apply IZR_le in C1. rewrite plus_IZR, minus_IZR, one_is_P in C1.
    assert (T := expo_ok t C0). apply IZR_le in L. rewrite opp_IZR in L.
    assert (B : - (IZR t / P) <= x). { apply Rmult_le_reg_r with P; auto. replace (- (IZR t / P) * P) with (- IZR t) by (field;
      lra). lra. }
    assert (M : exp (- (IZR t / P)) <= exp x) by (destruct (Req_dec (- (IZR t / P)) x) as [->|]; [lra|left; apply
      exp_increasing; lra]).
    assert (0 <= (1 + - (IZR t / P) + exp (- (IZR t / P)))); [|lra].
    apply Rmult_le_reg_r with P; auto. replace ((1 + - (IZR t / P) + exp (- (IZR t / P))) * P) with (P - IZR t + P * exp (-
      (IZR t
      / P))) by (field; lra). lra.
  - apply IZR_le in L. assert (0 <= x) by nra. lra.
Qed.
Lemma falls_ok z x : (z <= falls_until silu_valley)%Z -> x * P <= IZR z -> 1 + x + exp x <= 0.
Proof.
  assert (W := P_pos p Hp). unfold silu_valley. cbv zeta. cbn [falls_until]. set (t := (_ + 1)%Z).
  destruct ((0 <=? t)%Z && (Z.shiftl 1 p - t + snd (expo t) <=? 0)%Z) eqn:C; intros L X.
  - apply andb_prop in C as [C0 C1]. apply Z.leb_le in C0, C1. apply IZR_le in C1. rewrite plus_IZR, minus_IZR, one_is_P in C1.
    assert (T := expo_ok t C0). apply IZR_le in L. rewrite opp_IZR in L.
    assert (B : x <= - (IZR t / P)). { apply Rmult_le_reg_r with P; auto. replace (- (IZR t / P) * P) with (- IZR t) by (field;
      lra). lra. }
    assert (M : exp x <= exp (- (IZR t / P))) by (destruct (Req_dec (- (IZR t / P)) x) as [->|]; [lra|left; apply
      exp_increasing; lra]).
    assert ((1 + - (IZR t / P) + exp (- (IZR t / P))) <= 0); [|lra].
    apply Rmult_le_reg_r with P; auto. replace ((1 + - (IZR t / P) + exp (- (IZR t / P))) * P) with (P - IZR t + P * exp (-
      (IZR t
      / P))) by (field; lra). lra.
  - apply IZR_le in L. rewrite opp_IZR, mult_IZR, one_is_P in L. assert (X2 : x <= - 2) by (apply Rmult_le_reg_r with P; lra).
    assert (M : exp x <= 1) by (rewrite <- exp_0; left; apply exp_increasing; lra). lra.
Qed.
Lemma least_ok x : IZR (least silu_valley) <= silu x * P.
Proof.
  assert (W := P_pos p Hp). unfold silu_valley. cbv zeta. cbn [least]. set (c := (27846455 * _ / _ + 1)%Z).
  destruct ((0 <? c)%Z && (snd (expo (Z.shiftl 1 p + c)) <=? c)%Z) eqn:C.
  - apply andb_prop in C as [C0 C1]. apply Z.ltb_lt in C0. apply Z.leb_le, IZR_le in C1.
    assert (T := expo_ok (Z.shiftl 1 p + c) ltac:(rewrite Z.shiftl_1_l; assert (0 <= 2 ^ p)%Z by (now apply Z.pow_nonneg);
      lia)).
    rewrite plus_IZR, one_is_P in T. apply IZR_lt in C0. assert (H := silu_least (IZR c / P) x).
    assert (- (IZR c / P) <= silu x).
    { apply H; [apply Rmult_lt_0_compat; [auto|now apply Rinv_0_lt_compat]|].
      apply Rmult_le_reg_r with P; auto. replace (IZR c / P * P) with (IZR c) by (field; lra).
      replace (- (1 + IZR c / P)) with (- ((P + IZR c) / P)) by (field; lra). lra. }
    rewrite opp_IZR. apply Rle_trans with (- (IZR c / P) * P); [right; field; lra|apply Rmult_le_compat_r; lra].
  - rewrite opp_IZR, one_is_P. assert (H := silu_least 1 x ltac:(lra)).
    assert (exp (- (1 + 1)) < exp 0) by (apply exp_increasing; lra). rewrite exp_0 in *. specialize (H ltac:(lra)). nra.
Qed.
Lemma silu_box_ok b x : between_ b x -> between_ (silu_box silu_valley b) (silu x).
Proof.
  destruct b as [lo hi]. unfold between_. cbn [fst snd]. intros [L H]. assert (W := P_pos p Hp). unfold silu_box.
  assert (Ex : forall z, within p (IZR z / P) z 0).
  { intros z. unfold within. replace (IZR z / P * P - IZR z) with 0 by (field; lra). rewrite Rabs_R0. lra. }
  assert (S0 := silu_ok p Hp expo expo_ok (IZR lo / P) (lo, 0%Z) (Ex lo)).
  assert (S1 := silu_ok p Hp expo expo_ok (IZR hi / P) (hi, 0%Z) (Ex hi)).
  destruct (silu_of p expo (lo, 0%Z)) as [m0 r0]. destruct (silu_of p expo (hi, 0%Z)) as [m1 r1]. cbn [fst snd] in *.
  fold (silu (IZR lo / P)) in S0. fold (silu (IZR hi / P)) in S1. apply within_iff in S0, S1.
  assert (A : IZR lo / P <= x) by (apply Rmult_le_reg_r with P; auto; replace (IZR lo / P * P) with (IZR lo) by (field; lra);
    lra).
  assert (B : x <= IZR hi / P) by (apply Rmult_le_reg_r with P; auto; replace (IZR hi / P * P) with (IZR hi) by (field; lra);
    lra).
  split.
  - destruct (Z.leb_spec (rises_from silu_valley) lo) as [R0|_].
    + assert (M := silu_rises _ _ A (rises_ok lo (IZR lo / P) R0 ltac:(right; field; lra))). rewrite minus_IZR. nra.
    + destruct (Z.leb_spec hi (falls_until silu_valley)) as [F|_]; [|apply least_ok].
      assert (M := silu_falls _ _ B (falls_ok hi (IZR hi / P) F ltac:(right; field; lra))). rewrite minus_IZR. nra.
  - destruct (Rle_dec 0 (1 + x + exp x)) as [G|G].
    + assert (M := silu_rises _ _ B G). apply max_IZR_ge. right. rewrite plus_IZR. nra.
    + assert (M := silu_falls _ _ A ltac:(lra)). apply max_IZR_ge. left. rewrite plus_IZR. nra.
Qed.
Definition act_box (f : activation) : Z * Z -> Z * Z :=
  match f with
  | Relu => fun b => (Z.max 0 (fst b), Z.max 0 (snd b))
  | Silu => let V := silu_valley in silu_box V
  | Gelu_new => let V := valley_of p expo in gelu_box p expo V
  end.
Lemma act_box_ok f b x : between_ b x -> between_ (act_box f b) (act f x).
Proof.
  intros H. destruct f; cbn [act_box]; [cbn [act]|now apply silu_box_ok|now apply gelu_box_ok].
  unfold between_ in *. cbn [fst snd]. assert (W := P_pos p Hp).
  assert (Mx : forall v, IZR (Z.max 0 v) = Rmax 0 (IZR v)).
  { intros v. unfold Rmax. destruct (Rle_dec 0 (IZR v)) as [Q|Q]; destruct (Z.max_spec 0 v) as [[Q1 ->]|[Q1 ->]]; auto.
    - apply le_IZR in Q. replace v with 0%Z by lia. reflexivity.
    - apply IZR_lt in Q1. lra. }
  rewrite !Mx. unfold Rmax. destruct (Rle_dec 0 x), (Rle_dec 0 (IZR (fst b))), (Rle_dec 0 (IZR (snd b))); nra.
Qed.

(* Norms: n numbers over the root of the mean square plus en / ed. *)
Variables (n : nat) (en ed : Z).
Hypothesis Hn : (0 < n)%nat.
Hypothesis Heps : (0 < en)%Z /\ (0 < ed)%Z.
Definition least_square (b : Z * Z) : Z := if (0 <? fst b)%Z then (fst b * fst b)%Z else if (snd b <? 0)%Z then (snd b * snd
  b)%Z else
  0%Z.
Definition most_square (b : Z * Z) : Z := Z.max (fst b * fst b) (snd b * snd b).
Definition low_root (squares : Z) : Z := Z.sqrt (squares / Z.of_nat n + Z.shiftl en (2 * p) / ed).
Definition high_root (squares : Z) : Z := (Z.sqrt (cdiv squares (Z.of_nat n) + cdiv (Z.shiftl en (2 * p)) ed) + 1)%Z.
Definition root_box (b : box) : Z * Z :=
  (low_root (zsum n (fun i => least_square (b i))), high_root (zsum n (fun i => most_square (b i)))).
Definition normalised (b : box) : option box :=
  let low := zsum n (fun i => least_square (b i)) in
  let high := zsum n (fun i => most_square (b i)) in
  let parts := memo1 n (fun i =>
    let '(lo, hi) := b i in
    let rest := (low - least_square (b i))%Z in
    let rest' := (high - most_square (b i))%Z in
    let below := if (0 <=? lo)%Z then high_root (lo * lo + rest') else low_root (lo * lo + rest) in
    let above := if (0 <=? hi)%Z then low_root (hi * hi + rest) else high_root (hi * hi + rest') in
    if (0 <? below)%Z && (0 <? above)%Z then Some (Z.shiftl lo p / below, cdiv (Z.shiftl hi p) above)%Z else None) in
  if forallb (fun i => match parts i with Some _ => true | None => false end) (seq 0 n) then
    Some (memo1 n (fun i => match parts i with Some found => found | None => (0%Z, 0%Z) end))
  else None.
Definition root_at (squares : R) : R := sqrt (squares / INR n + IZR en / IZR ed).

Lemma square_ok b x : between_ b x -> IZR (least_square b) <= x ^ 2 * (P * P) <= IZR (most_square b).
Proof.
  destruct b as [lo hi]. unfold between_, least_square, most_square. cbn [fst snd]. intros [L H].
  replace (x ^ 2 * (P * P)) with (x * P * (x * P)) by ring. set (u := x * P) in *. split.
  - destruct (Z.ltb_spec 0 lo) as [Q|Q]; [apply IZR_lt in Q; rewrite mult_IZR; nra|]. destruct (Z.ltb_spec hi 0) as [Q'|Q'];
      [apply IZR_lt in Q'; rewrite mult_IZR; nra|cbn; nra].
  - destruct (Rle_dec 0 u); apply max_IZR_ge; [right|left]; rewrite mult_IZR; nra.
Qed.
Lemma eps_scaled : Z.shiftl en (2 * p) = (en * (2 ^ p * 2 ^ p))%Z.
Proof. rewrite Z.shiftl_mul_pow2, <- Z.pow_add_r by lia. do 2 f_equal. lia. Qed.
Lemma root_at_pos s : 0 <= s -> 0 < root_at s.
Proof.
  intros H. assert (Nr : 0 < INR n) by now apply lt_0_INR. destruct Heps as [E D]. apply IZR_lt in E, D. apply sqrt_lt_R0.
  assert (0 < IZR en / IZR ed) by (apply Rmult_lt_0_compat; [|apply Rinv_0_lt_compat]; auto).
  assert (0 <= s / INR n) by (apply Rmult_le_pos; [|left; apply Rinv_0_lt_compat]; auto). lra.
Qed.
Lemma roots_ok s : 0 <= s -> (forall a, IZR a <= s * (P * P) -> IZR (low_root a) <= root_at s * P) /\
  (forall a, s * (P * P) <= IZR a -> root_at s * P <= IZR (high_root a)).
Proof.
  intros H. assert (W := P_pos p Hp). assert (Nr : 0 < INR n) by now apply lt_0_INR. destruct Heps as [E D].
  assert (Er := E). assert (Dr := D). apply IZR_lt in Er, Dr.
  assert (NZ : (0 < Z.of_nat n)%Z) by lia. set (y := s / INR n + IZR en / IZR ed).
  assert (Y : 0 <= y). { unfold y, Rdiv. apply Rplus_le_le_0_compat; apply Rmult_le_pos; try lra; left;
    now apply Rinv_0_lt_compat. }
  assert (Rt : root_at s * P = sqrt (y * (P * P))) by (unfold root_at; fold y; rewrite sqrt_mult, sqrt_square; nra).
  assert (Yp : y * (P * P) = s * (P * P) / IZR (Z.of_nat n) + IZR (en * (2 ^ p * 2 ^ p)) / IZR ed).
  { rewrite <- INR_IZR_INZ, !mult_IZR. unfold y. field. lra. }
  assert (NI : 0 < / IZR (Z.of_nat n)) by (apply Rinv_0_lt_compat; now apply IZR_lt).
  rewrite Rt. unfold low_root, high_root. rewrite eps_scaled. split; intros a Ha.
  - apply sqrt_low; [nra|]. rewrite Yp, plus_IZR. apply Rplus_le_compat; [|now apply Z_div_le].
    eapply Rle_trans; [now apply Z_div_le|]. apply Rmult_le_compat_r; lra.
  - apply sqrt_high. rewrite Yp, plus_IZR. apply Rplus_le_compat; [|now apply Z_cdiv_ge].
    eapply Rle_trans; [|now apply Z_cdiv_ge]. apply Rmult_le_compat_r; lra.
Qed.
Lemma squares_ok b f : inside n b f ->
  IZR (zsum n (fun i => least_square (b i))) <= rsum n (fun i => f i ^ 2) * (P * P) <= IZR (zsum n (fun i => most_square (b
    i))).
Proof.
  intros F. rewrite <- !rsum_IZR, <- rsum_scal_r. split; apply rsum_le; intros i Hi; now apply (square_ok (b i) (f i)), F.
Qed.
Lemma squares_nonneg f : 0 <= rsum n (fun i => f i ^ 2).
Proof. rewrite <- (rsum_0 n). apply rsum_le. intros. apply pow2_ge_0. Qed.
Lemma root_box_ok b f : inside n b f -> IZR (fst (root_box b)) <= root_at (rsum n (fun i => f i ^ 2)) * P <= IZR (snd (root_box
  b)).
Proof.
  intros F. destruct (squares_ok b f F) as [S0 S1]. destruct (roots_ok _ (squares_nonneg f)) as [R0 R1]. cbn [root_box fst snd].
  split; auto.
Qed.

(* A number over a root, if both are bounded. *)
Lemma over_low a r root : (0 < root)%Z -> 0 < r -> (if (0 <=? a)%Z then r * P <= IZR root else IZR root <= r * P) ->
  IZR (Z.shiftl a p / root) <= IZR a / P / r * P.
Proof.
  intros Rz Rp H. assert (W := P_pos p Hp). rewrite Z.shiftl_mul_pow2 by lia. assert (D := div_le (a * 2 ^ p) root Rz).
  rewrite mult_IZR in D. assert (Rr : 0 < IZR root) by now apply IZR_lt. set (q := IZR (a * 2 ^ p / root)) in *.
  apply Rmult_le_reg_r with (r * P); [nra|]. replace (IZR a / P / r * P * (r * P)) with (IZR a * P) by (field; lra).
  destruct (Z.leb_spec 0 a) as [L|L].
  - assert (Q0 : 0 <= q) by (apply IZR_le, Z.div_pos; [apply Z.mul_nonneg_nonneg; [lia|now apply Z.pow_nonneg]|lia]). nra.
  - apply IZR_lt in L. assert (q < 0) by nra. nra.
Qed.
Lemma over_high a r root : (0 < root)%Z -> 0 < r -> (if (0 <=? a)%Z then IZR root <= r * P else r * P <= IZR root) ->
  IZR a / P / r * P <= IZR (cdiv (Z.shiftl a p) root).
Proof.
  intros Rz Rp H. assert (W := P_pos p Hp). rewrite Z.shiftl_mul_pow2 by lia. assert (D := cdiv_ge (a * 2 ^ p) root Rz).
  rewrite mult_IZR in D. assert (Rr : 0 < IZR root) by now apply IZR_lt. set (q := IZR (cdiv (a * 2 ^ p) root)) in *.
  apply Rmult_le_reg_r with (r * P); [nra|]. replace (IZR a / P / r * P * (r * P)) with (IZR a * P) by (field; lra).
  destruct (Z.leb_spec 0 a) as [L|L].
  - apply IZR_le in L. assert (0 <= IZR a * P) by (apply Rmult_le_pos; lra). assert (0 <= q) by (apply Rnot_lt_le; intros N;
      nra).
    nra.
  - apply IZR_lt in L. assert (Ap : IZR a * P < 0) by nra. assert (0 < r * P) by nra.
    destruct (Rle_dec q 0) as [Q|Q]; [assert (q * IZR root <= q * (r * P)) by nra; lra|].
    assert (0 < q * (r * P)) by (apply Rmult_lt_0_compat; lra). lra.
Qed.
Lemma zsum_rest (f : nat -> R) (g : nat -> Z) i : (i < n)%nat ->
  ((forall k, (k < n)%nat -> IZR (g k) <= f k) -> IZR (zsum n g - g i) <= rsum n f - f i) /\
  ((forall k, (k < n)%nat -> f k <= IZR (g k)) -> rsum n f - f i <= IZR (zsum n g - g i)).
Proof.
  intros Hi. assert (E : forall h : nat -> R, rsum n h - h i = rsum n (fun k => if (k =? i)%nat then 0 else h k)).
  { intros h. clear -Hi. induction n as [|k IH]; [lia|]. cbn [rsum]. destruct (Nat.eq_dec i k) as [->|N].
    - rewrite Nat.eqb_refl. assert (Same : rsum k h = rsum k (fun l => if (l =? k)%nat then 0 else h l)).
      { apply rsum_ext. intros l Hl. rewrite (proj2 (Nat.eqb_neq l k)) by lia. reflexivity. } rewrite <- Same. ring.
    - rewrite <- IH by lia. rewrite (proj2 (Nat.eqb_neq k i)) by lia. ring. }
  rewrite minus_IZR, <- rsum_IZR, (E f), (E (fun k => IZR (g k))). split; intros H; apply rsum_le; intros k Hk;
    destruct (k =? i)%nat; try lra; now apply H.
Qed.
Theorem normalised_ok b y f : inside n b f -> normalised b = Some y ->
  inside n y (fun i => f i / root_at (rsum n (fun i => f i ^ 2))).
Proof.
  intros F. unfold normalised. cbv zeta. set (low := zsum n (fun i => least_square (b i))).
  set (high := zsum n (fun i => most_square (b i))). set (parts := memo1 n _). destruct (forallb _ (seq 0 n)) eqn:All;
    [|discriminate].
  intros E. injection E as <-. intros i Hi. rewrite memo1_eq. rewrite forallb_forall in All.
  specialize (All i ltac:(apply in_seq; lia)). destruct (parts i) as [found|] eqn:Pi; [|discriminate]. clear All.
  unfold parts in Pi. rewrite memo1_eq in Pi. cbv beta in Pi. assert (Fi := F i Hi).
  set (rest := (low - least_square (b i))%Z) in *. set (rest' := (high - most_square (b i))%Z) in *.
  set (R := rsum n (fun i => f i ^ 2) - f i ^ 2).
  assert (W := P_pos p Hp).
  assert (Each : forall k, (k < n)%nat -> IZR (least_square (b k)) <= f k ^ 2 * (P * P) <= IZR (most_square (b k))).
  { intros k Hk. now apply square_ok, F. }
  assert (Rl : IZR rest <= R * (P * P)).
  { unfold R. rewrite Rmult_minus_distr_r, <- rsum_scal_r.
    apply (proj1 (zsum_rest (fun k => f k ^ 2 * (P * P)) (fun k => least_square (b k)) i Hi)). intros k Hk. now apply Each. }
  assert (Rh : R * (P * P) <= IZR rest').
  { unfold R. rewrite Rmult_minus_distr_r, <- rsum_scal_r.
    apply (proj2 (zsum_rest (fun k => f k ^ 2 * (P * P)) (fun k => most_square (b k)) i Hi)). intros k Hk. now apply Each. }
  assert (R0 : 0 <= R).
  { unfold R. assert (X := proj1 (zsum_rest (fun k => f k ^ 2) (fun _ => 0%Z) i Hi) (fun k _ => pow2_ge_0 (f k))).
    cbn beta in X. rewrite zsum_0 in X. exact X. }
  destruct (b i) as [lo hi] eqn:Bi. cbn [fst snd] in Fi.
  set (below := if (0 <=? lo)%Z then high_root (lo * lo + rest') else low_root (lo * lo + rest)) in *.
  set (above := if (0 <=? hi)%Z then low_root (hi * hi + rest) else high_root (hi * hi + rest')) in *.
  destruct ((0 <? below)%Z && (0 <? above)%Z) eqn:Pos; [|discriminate]. apply andb_prop in Pos as [Pb Pa].
  apply Z.ltb_lt in Pb, Pa. injection Pi as <-. cbn [fst snd].
  set (c := R + INR n * (IZR en / IZR ed)). assert (Nr : 0 < INR n) by now apply lt_0_INR. destruct Heps as [En Ed].
  apply IZR_lt in En, Ed. assert (Ep : 0 < IZR en / IZR ed) by (apply Rmult_lt_0_compat; [|apply Rinv_0_lt_compat]; auto).
  assert (C0 : 0 < c) by (unfold c; nra).
  (* The quotient as one that rises. *)
  assert (Form : forall t, t / root_at (t ^ 2 + R) = sqrt (INR n) * (t / sqrt (t ^ 2 + c))).
  { intros t. assert (T2 := pow2_ge_0 t). assert (Sn : 0 < sqrt (INR n)) by now apply sqrt_lt_R0.
    assert (St : 0 < sqrt (t ^ 2 + c)) by (apply sqrt_lt_R0; lra).
    assert (Rt : root_at (t ^ 2 + R) = sqrt (t ^ 2 + c) / sqrt (INR n)).
    { unfold root_at. rewrite <- sqrt_div by lra. f_equal. unfold c. field. lra. }
    rewrite Rt. field. lra. }
  assert (Sn : 0 <= sqrt (INR n)) by apply sqrt_pos.
  assert (Tot : rsum n (fun i => f i ^ 2) = f i ^ 2 + R) by (unfold R; ring). rewrite Tot.
  assert (Sq : forall z, (IZR z / P) ^ 2 * (P * P) = IZR (z * z)) by (intros; rewrite mult_IZR; field; lra).
  assert (Bound : forall z, 0 <= (IZR z / P) ^ 2 + R) by (intros; assert (X := pow2_ge_0 (IZR z / P)); lra).
  assert (A : IZR lo / P <= f i) by (apply Rmult_le_reg_r with P; auto; replace (IZR lo / P * P) with (IZR lo) by (field; lra);
    lra).
  assert (B : f i <= IZR hi / P) by (apply Rmult_le_reg_r with P; auto; replace (IZR hi / P * P) with (IZR hi) by (field; lra);
    lra).
  split.
  - apply Rle_trans with (IZR lo / P / root_at ((IZR lo / P) ^ 2 + R) * P).
    + apply over_low; auto; [now apply root_at_pos|]. destruct (roots_ok _ (Bound lo)) as [G1 G2]. unfold below.
      destruct (0 <=? lo)%Z; [apply G2|apply G1]; rewrite plus_IZR, Rmult_plus_distr_r, Sq; lra.
    + apply Rmult_le_compat_r; [lra|]. rewrite !Form. apply Rmult_le_compat_l; auto. now apply share_rises.
  - apply Rle_trans with (IZR hi / P / root_at ((IZR hi / P) ^ 2 + R) * P).
    + apply Rmult_le_compat_r; [lra|]. rewrite !Form. apply Rmult_le_compat_l; auto. now apply share_rises.
    + apply over_high; auto; [now apply root_at_pos|]. destruct (roots_ok _ (Bound hi)) as [G1 G2]. unfold above.
      destruct (0 <=? hi)%Z; [apply G1|apply G2]; rewrite plus_IZR, Rmult_plus_distr_r, Sq; lra.
Qed.
End Boxes.
