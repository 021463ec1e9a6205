(* Linear functions of the residual stream after attention, in a transformer of one layer: each, times the sum of the first
   head's weights, is a linear function of what attention sums up (OneLayer.v) with one head; with several, it is between some
   of these, at the corners of a box in which the ratios of the heads' sums of weights are (rule potentials, FORMAT.md 5.18). *)
From Coq Require Import Reals Lra Lia ZArith List Arith Bool.
From CompactProofs Require Import Semantics Counting PrefixChains Exponential MatrixProduct Vectors Attention Transformers
  HeadVectors Forward EveryInput Boxes OneLayer TokenSums RatioBoxes.
Import ListNotations.
Open Scope R_scope.

Section ResidualSums.
Variable A : architecture.
Variables e p : Z.
Variable T : transformer Z.
Variable at_position : nat.
Variable reference : nat -> nat -> Z.
Variable centre : nat -> Z.
Notation P := (IZR (2 ^ p)).
Notation E2 := (IZR (2 ^ e)).
Notation d := (d_model A). Notation dh := (d_head A). Notation H := (n_heads A). Notation K := (n_ctx A).
Notation B := (blocks T O). Notation W := (S dh).

(* The functions: of a residual stream x the sum of x i * columns i y, plus constants y, in units of 2^-f. *)
Variable f : Z.
Variable functions : nat.
Variable columns : nat -> nat -> Z.
Variable constants : nat -> Z.
(* Of a query and each head but the first (number 0 here is that of head 1), in units of 2^-24: edges, between which ratios are;
   and what enforces the ratios of a box in a function. *)
Variable gaps : nat.
Variable edge : nat -> nat -> nat -> Z.
Variable enforced : nat -> nat -> nat -> nat -> Z.

Definition others : nat := (H - 1)%nat.
Definition boxes : nat := (gaps ^ others)%nat.
Definition corners : nat := (2 ^ others)%nat.
Definition of_box : nat := (functions * corners)%nat.
Definition sum_number (x y c : nat) : nat := (x * of_box + (y * corners + c))%nat.
Definition edge_number (o i : nat) : nat := (boxes * of_box + (o * S gaps + i))%nat.
Definition how_many : nat := (boxes * of_box + others * S gaps)%nat.

(* In units of 2^-24: the ratio at a corner of a box, 1 for the first head; and what enforces it. *)
Definition corner (q x c h : nat) : Z :=
  match h with O => 2 ^ 24 | S o => edge q o (digit gaps x o + (if (digit 2 c o =? 0)%nat then 0 else 1))%nat end.
Definition enforcing (q x y h : nat) : Z := match h with O => 0 | S o => enforced q x y o end.
(* What heads write; and the functions if all heads read the centre, in units of 2^-(p + e + f). *)
Definition written : nat -> nat -> Z := matrix_product (H * dh) d functions (W_O_flat A T O) columns.
Definition base_sum (q i : nat) : Z :=
  (Z.shiftl (W_E T q i + W_pos T at_position i + b_O B i) p + zsum (H * dh) (fun k => centre k * W_O_flat A T O k i))%Z.
Definition base_function (q : nat) : nat -> Z :=
  let base := memo1 d (base_sum q) in
  memo1 functions (fun y => zsum d (fun i => base i * columns i y) + Z.shiftl (constants y) (p + e))%Z.
Definition unit_of_sums : Z := (p + e + f + 48)%Z.
Definition coefficient (q : nat) : nat -> nat -> Z :=
  let out := written in
  let base := base_function q in
  fun k n =>
    let h := (k / W)%nat in
    if (n <? boxes * of_box)%nat then
      let x := (n / of_box)%nat in let y := (n mod of_box / corners)%nat in let c := (n mod of_box mod corners)%nat in
      match (k mod W)%nat with
      | O => (if (h =? 0)%nat then Z.shiftl (base y) 48 + Z.shiftl (zsum H (enforcing q x y)) (p + e + f + 24) else 0)
          - Z.shiftl (corner q x c h * enforcing q x y h) (p + e + f)
      | S c' => Z.shiftl (corner q x c h * out (h * dh + c')%nat y) (p + 24)
      end%Z
    else
      let o := ((n - boxes * of_box) / S gaps)%nat in let i := ((n - boxes * of_box) mod S gaps)%nat in
      match (k mod W)%nat with
      | O => (if (h =? 0)%nat then Z.shiftl 1 unit_of_sums else 0)
          - (if (h =? S o)%nat then Z.shiftl (edge q o i) (p + e + f + 24) else 0)
      | S _ => 0
      end%Z.

(* In real numbers, on an input x. *)
Hypothesis Hp : (0 <= p)%Z.
Hypothesis He : (0 <= e)%Z.
Hypothesis Hf : (0 <= f)%Z.
Hypothesis Hd : (0 < d)%nat.
Hypothesis Hdh : (0 < dh)%nat.
Hypothesis HG : (0 < n_key_value_heads A <= H)%nat.
Hypothesis Hlayers : n_layers A = 1%nat.
Notation RT := (map_transformer (real e) T).
Notation RB := (map_block (real e) B).
Variable x : list nat.
Hypothesis Hat : (at_position < K)%nat.
Notation r0 := (stream A RT x 0).
Notation q0 := (nth at_position x O).
Notation sum := (real_sum A e p T O at_position reference centre x (token x)).
Notation F2 := (IZR (2 ^ f)).
Notation M := (IZR (2 ^ 24)).
Definition after_value (y : nat) : R :=
  rsum d (fun i => after_attention A x RB r0 at_position i * (IZR (columns i y) / F2)) + IZR (constants y) / F2.
Definition weights (h : nat) : R := sum (h * W).
Definition head_part (h y : nat) : R := rsum dh (fun c => sum (h * W + S c) * (IZR (written (h * dh + c) y) / (E2 * F2))).
Definition base_part (y : nat) : R := IZR (base_function q0 y) / (P * E2 * F2).
Definition force (b y h : nat) : R := IZR (enforcing q0 b y h) / M.
Notation sum_of := (function (H * W) unit_of_sums coefficient q0 sum).

Lemma shiftl_IZR a k : (0 <= k)%Z -> IZR (Z.shiftl a k) = IZR a * IZR (2 ^ k).
Proof. intros L. now rewrite Z.shiftl_mul_pow2, mult_IZR by auto. Qed.
Lemma sums_unit : IZR (2 ^ unit_of_sums) = P * E2 * F2 * (M * M).
Proof.
  unfold unit_of_sums. replace (p + e + f + 48)%Z with (p + e + f + (24 + 24))%Z by lia. now rewrite !pw_add by lia.
Qed.
Lemma units_positive : 0 < P /\ 0 < E2 /\ 0 < F2 /\ 0 < M.
Proof. repeat split; apply pw_pos; lia. Qed.

Lemma by_head g : rsum (H * W) g = rsum H (fun h => g (h * W)%nat + rsum dh (fun c => g (h * W + S c)%nat)).
Proof.
  rewrite rsum_flat. apply rsum_ext; intros h _. rewrite rsum_shift. rewrite Nat.add_0_r. reflexivity.
Qed.
Lemma first_head g : rsum H (fun h => if (h =? 0)%nat then g h else 0) = g O.
Proof.
  destruct H as [|n]; [lia|]. clear. rewrite rsum_shift. cbn [Nat.eqb]. rewrite rsum_0. ring.
Qed.

Theorem sum_at_corner b y c : (b < boxes)%nat -> (y < functions)%nat -> (c < corners)%nat ->
  sum_of (sum_number b y c) = weights O * (base_part y + rsum H (force b y)) +
    rsum H (fun h => IZR (corner q0 b c h) / M * (head_part h y - force b y h * weights h)).
Proof.
  intros Lb Ly Lc. unfold function. rewrite by_head. destruct units_positive as (Pp & Ep & Fp & Mp).
  assert (Lw : (y * corners + c < of_box)%nat) by (unfold of_box; nia).
  assert (Sm : (sum_number b y c <? boxes * of_box)%nat = true) by (apply Nat.ltb_lt; unfold sum_number; nia).
  assert (X : (sum_number b y c / of_box = b)%nat) by now apply flat_div.
  assert (Y : (sum_number b y c mod of_box / corners = y)%nat) by (unfold sum_number; rewrite flat_mod, flat_div; auto).
  assert (C : (sum_number b y c mod of_box mod corners = c)%nat) by (unfold sum_number; rewrite !flat_mod; auto).
  rewrite (rsum_ext H _ (fun h => (if (h =? 0)%nat then weights O * (base_part y + rsum H (force b y)) else 0) +
    IZR (corner q0 b c h) / M * (head_part h y - force b y h * weights h))).
  { rewrite rsum_plus. f_equal. apply (first_head (fun _ => weights O * (base_part y + rsum H (force b y)))). }
  intros h Hh. assert (Z0 : ((h * W) / W = h)%nat) by (apply Nat.div_mul; lia).
  assert (Z1 : ((h * W) mod W = 0)%nat) by (apply Nat.mod_mul; lia).
  assert (Heads : rsum dh (fun c0 => sum (h * W + S c0) * (IZR (coefficient q0 (h * W + S c0) (sum_number b y c)) / IZR (2 ^
    unit_of_sums))) = IZR (corner q0 b c h) / M * head_part h y).
  { unfold head_part. rewrite <- rsum_scal. apply rsum_ext; intros c0 Hc. unfold coefficient. cbv zeta.
    rewrite Sm, X, Y, C. rewrite flat_div, flat_mod by lia. rewrite shiftl_IZR, mult_IZR, sums_unit, pw_add by lia.
    set (s := sum _). set (u := IZR (corner _ _ _ _)). set (v := IZR (written _ _)). field. lra. }
  rewrite Heads. unfold coefficient. cbv zeta. rewrite Sm, X, Y, C, Z0, Z1. rewrite minus_IZR, shiftl_IZR, mult_IZR by lia.
  assert (Ff : rsum H (force b y) = IZR (zsum H (enforcing q0 b y)) / M).
  { unfold force, Rdiv. rewrite <- rsum_IZR, <- rsum_scal_r. reflexivity. }
  rewrite Ff. unfold base_part, force. fold (weights h). rewrite sums_unit.
  destruct (Nat.eqb_spec h 0) as [->|N].
  - rewrite plus_IZR, !shiftl_IZR, !pw_add by lia. change (2 ^ 48)%Z with (2 ^ (24 + 24))%Z. rewrite (pw_add 24 24) by lia.
    set (g := IZR (zsum _ _)). set (u := IZR (corner _ _ _ _)). set (v := IZR (enforcing _ _ _ _)). set (w := IZR (base_function
      _ _)).
    set (hp := head_part 0 y). field. lra.
  - rewrite !pw_add by lia. set (u := IZR (corner _ _ _ _)). set (v := IZR (enforcing _ _ _ _)). set (hp := head_part h y).
    field. lra.
Qed.
Theorem sum_at_edge o i : (o < others)%nat -> (i <= gaps)%nat ->
  sum_of (edge_number o i) = weights O - IZR (edge q0 o i) / M * weights (S o).
Proof.
  intros Lo Li. unfold function. rewrite by_head. destruct units_positive as (Pp & Ep & Fp & Mp).
  assert (Sm : (edge_number o i <? boxes * of_box)%nat = false) by (apply Nat.ltb_ge; unfold edge_number; lia).
  assert (X : (edge_number o i - boxes * of_box = o * S gaps + i)%nat) by (unfold edge_number; lia).
  rewrite (rsum_ext H _ (fun h => (if (h =? 0)%nat then weights O else 0) -
    (if (h =? S o)%nat then IZR (edge q0 o i) / M * weights (S o) else 0))).
  { rewrite rsum_minus. f_equal; [apply (first_head (fun _ => weights O))|].
    assert (L : (S o < H)%nat) by (unfold others in Lo; lia). revert L. generalize H as n. clear.
    intros n L. induction n as [|n IH]; [lia|]. cbn [rsum]. destruct (Nat.eq_dec n (S o)) as [->|N].
    - rewrite Nat.eqb_refl. rewrite (rsum_ext (S o) _ (fun _ => 0)); [rewrite rsum_0; ring|].
      intros j Hj. now rewrite (proj2 (Nat.eqb_neq j (S o))) by lia.
    - rewrite IH by lia. rewrite (proj2 (Nat.eqb_neq n (S o)) N). ring. }
  intros h Hh. assert (Z0 : ((h * W) / W = h)%nat) by (apply Nat.div_mul; lia).
  assert (Z1 : ((h * W) mod W = 0)%nat) by (apply Nat.mod_mul; lia).
  rewrite (rsum_ext dh _ (fun _ => 0)).
  2:{ intros c Hc. unfold coefficient. cbv zeta. rewrite Sm, flat_mod by lia. unfold Rdiv. ring. }
  rewrite rsum_0, Rplus_0_r. unfold coefficient. cbv zeta. rewrite Sm, X, Z0, Z1, flat_div, flat_mod by lia.
  rewrite minus_IZR, sums_unit. fold (weights h).
  destruct (Nat.eqb_spec h 0) as [E0|N1], (Nat.eqb_spec h (S o)) as [E1|N2]; try lia.
  - subst h. rewrite shiftl_IZR, sums_unit by (unfold unit_of_sums; lia). field. lra.
  - subst h. rewrite shiftl_IZR, !pw_add by lia. set (u := IZR (edge _ _ _)). field. lra.
  - field. lra.
Qed.

(* The functions, times the sum of weights. *)
Definition rate (h : nat) : R := weights O / weights h.
Lemma base_is i : base_value A e p T O at_position centre x i = IZR (base_sum q0 i) / (P * E2).
Proof.
  destruct units_positive as (Pp & Ep & Fp & Mp). unfold base_value, base_sum. rewrite plus_IZR, shiftl_IZR, !plus_IZR by lia.
  rewrite <- rsum_IZR. rewrite (rsum_ext (H * dh) (fun k => centre_value p centre k * real e (W_O_flat A T O k i))
    (fun k => IZR (centre k * W_O_flat A T O k i) * / (P * E2))).
  - rewrite rsum_scal_r. cbn [stream map_transformer Transformers.W_E Transformers.W_pos]. unfold token, real. field. lra.
  - intros k _. unfold centre_value, real. rewrite mult_IZR. field. lra.
Qed.
Lemma base_part_is y : base_part y = rsum d (fun i => base_value A e p T O at_position centre x i * (IZR (columns i y) / F2)) +
  IZR (constants y) / F2.
Proof.
  destruct units_positive as (Pp & Ep & Fp & Mp). unfold base_part, base_function. rewrite memo1_eq, memo1_id. 
  rewrite plus_IZR, shiftl_IZR, pw_add, <- rsum_IZR by lia.
  rewrite (rsum_ext d (fun i => base_value A e p T O at_position centre x i * (IZR (columns i y) / F2))
    (fun i => IZR (base_sum q0 i * columns i y) * / (P * E2 * F2))).
  - rewrite rsum_scal_r. field. lra.
  - intros i _. rewrite base_is, mult_IZR. field. lra.
Qed.
Theorem after_sum y : (forall h, (h < H)%nat -> 0 < weights h) ->
  weights O * after_value y = weights O * base_part y + rsum H (fun h => rate h * head_part h y).
Proof.
  intros Pos. destruct units_positive as (Pp & Ep & Fp & Mp). unfold after_value. rewrite base_part_is.
  rewrite (rsum_ext d _ (fun i => base_value A e p T O at_position centre x i * (IZR (columns i y) / F2) +
    rsum (H * dh) (fun k => real_read A e p T O at_position reference centre x (token x) k * real e (W_O_flat A T O k i)) * (IZR (columns i y)
      / F2))).
  2:{ intros i _. rewrite (attention_value A e p T O at_position reference centre Hd Hdh HG x Hat (token x) i Pos). ring. }
  rewrite rsum_plus. set (base := rsum d (fun i => base_value A e p T O at_position centre x i * _)).
  enough (Eq : weights O * rsum d (fun i => rsum (H * dh) (fun k => real_read A e p T O at_position reference centre x (token x) k * real e
    (W_O_flat A T O k i)) * (IZR (columns i y) / F2)) = rsum H (fun h => rate h * head_part h y)) by lra.
  assert (C : rsum d (fun i => rsum (H * dh) (fun k => real_read A e p T O at_position reference centre x (token x) k * real e (W_O_flat A T O
    k i)) * (IZR (columns i y) / F2)) =
    rsum (H * dh) (fun k => real_read A e p T O at_position reference centre x (token x) k * (IZR (written k y) / (E2 * F2)))).
  { rewrite (rsum_ext d _ (fun i => rsum (H * dh) (fun k => real_read A e p T O at_position reference centre x (token x) k *
      (IZR (W_O_flat A T O k i * columns i y) * / (E2 * F2))))).
    - rewrite rsum_swap. apply rsum_ext; intros k _. rewrite rsum_scal, rsum_scal_r, rsum_IZR. unfold written.
      now rewrite matrix_product_eq.
    - intros i _. rewrite <- rsum_scal_r. apply rsum_ext; intros k _. unfold real. rewrite mult_IZR. field. lra. }
  rewrite C, <- rsum_scal, (rsum_flat H dh). apply rsum_ext; intros h Hh. unfold head_part. rewrite <- rsum_scal.
  apply rsum_ext; intros c Hc. unfold real_read. rewrite flat_div, flat_mod by auto. unfold rate. specialize (Pos h Hh).
  unfold weights in *. set (v := IZR (written _ _)). field. lra.
Qed.

(* Between corners, where ratios are in a box. *)
Definition in_box (b : nat) : Prop := forall o, (o < others)%nat ->
  IZR (edge q0 o (digit gaps b o)) / M <= rate (S o) <= IZR (edge q0 o (S (digit gaps b o))) / M.
Lemma heads_sum g : rsum H g = g O + rsum others (fun o => g (S o)).
Proof. unfold others. destruct H as [|n]; [lia|]. rewrite rsum_shift. now replace (S n - 1)%nat with n by lia. Qed.
Lemma enforced_sum b y : (forall h, (h < H)%nat -> 0 < weights h) ->
  weights O * rsum H (force b y) = rsum H (fun h => rate h * (force b y h * weights h)).
Proof. intros Pos. rewrite <- rsum_scal. apply rsum_ext; intros h Hh. specialize (Pos h Hh). unfold rate. field. lra. Qed.
Lemma first_corner b c g : IZR (corner q0 b c 0) / M * g = g.
Proof. destruct units_positive as (_ & _ & _ & Mp). cbn [corner]. field. lra. Qed.
Lemma later_corner b c o : IZR (corner q0 b c (S o)) / M =
  (if (digit 2 c o =? 0)%nat then IZR (edge q0 o (digit gaps b o)) / M else IZR (edge q0 o (S (digit gaps b o))) / M).
Proof. cbn [corner]. destruct (digit 2 c o =? 0)%nat; [now rewrite Nat.add_0_r|now rewrite Nat.add_1_r]. Qed.
Section InBox.
Variables b y : nat.
Hypothesis Lb : (b < boxes)%nat.
Hypothesis Ly : (y < functions)%nat.
Hypothesis Pos : forall h, (h < H)%nat -> 0 < weights h.
Hypothesis In : in_box b.
Lemma rate_first : rate O = 1.
Proof. unfold rate. specialize (Pos O ltac:(lia)). field. lra. Qed.
Definition gain (h : nat) : R := head_part h y - force b y h * weights h.
Lemma value_by_gains : weights O * after_value y = weights O * (base_part y + rsum H (force b y)) + (gain O + rsum others (fun
  o => rate (S o) * gain (S o))).
Proof.
  rewrite after_sum by auto. rewrite Rmult_plus_distr_l, enforced_sum by auto. rewrite Rplus_assoc. f_equal.
  rewrite (heads_sum (fun h => rate h * head_part h y)), (heads_sum (fun h => rate h * (force b y h * weights h))).
  rewrite rate_first. unfold gain.
  rewrite (rsum_ext others (fun o => rate (S o) * (head_part (S o) y - force b y (S o) * weights (S o)))
    (fun o => rate (S o) * head_part (S o) y - rate (S o) * (force b y (S o) * weights (S o)))) by (intros; ring).
  rewrite rsum_minus. ring.
Qed.
Lemma corner_by_gains c : (c < corners)%nat -> sum_of (sum_number b y c) = weights O * (base_part y + rsum H (force b y)) +
  (gain O + rsum others (fun o => (if (digit 2 c o =? 0)%nat then IZR (edge q0 o (digit gaps b o)) / M else IZR (edge q0 o (S
    (digit gaps b o))) / M) * gain (S o))).
Proof.
  intros Lc. rewrite sum_at_corner by auto. f_equal. rewrite heads_sum, first_corner. f_equal. apply rsum_ext; intros o _.
  now rewrite later_corner.
Qed.
Theorem corner_below : exists c, (c < corners)%nat /\ sum_of (sum_number b y c) <= weights O * after_value y.
Proof.
  destruct (some_corner others _ _ (fun o => rate (S o)) (fun o => gain (S o)) In) as (c & Lc & C). exists c. split; auto.
  rewrite value_by_gains, corner_by_gains by auto. lra.
Qed.
Theorem corner_above : exists c, (c < corners)%nat /\ weights O * after_value y <= sum_of (sum_number b y c).
Proof.
  destruct (some_corner others _ _ (fun o => rate (S o)) (fun o => - gain (S o)) In) as (c & Lc & C). exists c. split; auto.
  rewrite value_by_gains, corner_by_gains by auto.
  assert (Neg : forall n (u : nat -> R), rsum n (fun o => u o * - gain (S o)) = - rsum n (fun o => u o * gain (S o))).
  { clear. induction n; intros u; cbn [rsum]; [ring|]. rewrite IHn. ring. }
  rewrite !Neg in C. lra.
Qed.
End InBox.
End ResidualSums.
