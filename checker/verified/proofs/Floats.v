(* Weights as their bits, which Flocq's formalisation of IEEE 754 gives a value; and as integers z with the same value z 2^-e. *)
From Coq Require Import Reals Lra Lia ZArith List Bool Arith.
From Flocq Require Import Core IEEE754.Binary IEEE754.Bits.
From CompactProofs Require Import PrefixChains.
Import ListNotations.
Open Scope Z_scope.

(* A tensor of binary floating-point numbers: sizes of the fields of its format, its shape, and the bits of its entries. *)
Record tensor := Tensor { fraction_bits : Z; exponent_bits : Z; rows : nat; columns : nat; bits : nat -> nat -> Z }.
Definition bits_at (t : tensor) (i j : nat) : Z := if ((i <? rows t) && (j <? columns t))%nat then bits t i j else 0.
Definition shaped (n k : nat) (t : tensor) : bool := (rows t =? n)%nat && (columns t =? k)%nat.
(* The value of an entry: Flocq's reading of its bits, as a real number. *)
Definition float (t : tensor) (i j : nat) : R :=
  FF2R radix2 (binary_float_of_bits_aux (fraction_bits t) (exponent_bits t) (bits_at t i j)).

(* For the formats that there are, this is B2R of the number with these bits: of binary32, binary64, binary16 and bfloat16. *)
Theorem float32_value b : FF2R radix2 (binary_float_of_bits_aux 23 8 b) = B2R 24 128 (b32_of_bits b).
Proof. symmetry. exact (B2R_FF2B _ _ _ _). Qed.
Theorem float64_value b : FF2R radix2 (binary_float_of_bits_aux 52 11 b) = B2R 53 1024 (b64_of_bits b).
Proof. symmetry. exact (B2R_FF2B _ _ _ _). Qed.
Theorem float16_value b : FF2R radix2 (binary_float_of_bits_aux 10 5 b) = B2R 11 16 (binary_float_of_bits 10 5 eq_refl eq_refl eq_refl b).
Proof. symmetry. exact (B2R_FF2B _ _ _ _). Qed.
Theorem bfloat16_value b : FF2R radix2 (binary_float_of_bits_aux 7 8 b) = B2R 8 128 (binary_float_of_bits 7 8 eq_refl eq_refl eq_refl b).
Proof. symmetry. exact (B2R_FF2B _ _ _ _). Qed.

(* Mantissa and exponent of a finite number. *)
Definition decoded (mw ew b : Z) : option (Z * Z) :=
  let fraction := b mod 2 ^ mw in
  let exponent := (b / 2 ^ mw) mod 2 ^ ew in
  if exponent =? 2 ^ ew - 1 then None
  else let m := if exponent =? 0 then fraction else fraction + 2 ^ mw in
       Some (if 2 ^ mw * 2 ^ ew <=? b then - m else m, Z.max exponent 1 + 1 - 2 ^ (ew - 1) - mw).
(* The integer z with z 2^-e = m 2^x, if there is one. *)
Definition scaled (e : Z) (number : option (Z * Z)) : option Z :=
  match number with
  | None => None
  | Some (m, x) => if 0 <=? x + e then Some (m * 2 ^ (x + e))
                   else let part := 2 ^ (- (x + e)) in let z := m / part in if z * part =? m then Some z else None
  end.
Definition integer (e : Z) (t : tensor) (i j : nat) : option Z := scaled e (decoded (fraction_bits t) (exponent_bits t) (bits_at t i j)).
(* The integers of a tensor, in a table; and whether there are such, for all entries. *)
Definition integers (e : Z) (t : tensor) : nat -> nat -> Z :=
  memo2 (rows t) (columns t) (fun i j => match integer e t i j with Some z => z | None => 0 end).
Definition exact (e : Z) (t : tensor) : bool :=
  (0 <? fraction_bits t) && (0 <? exponent_bits t) &&
  forallb (fun i => forallb (fun j => match integer e t i j with Some _ => true | None => false end) (seq 0 (columns t))) (seq 0 (rows t)).

Lemma decoded_value mw ew b m x : 0 < mw -> 0 < ew -> decoded mw ew b = Some (m, x) ->
  FF2R radix2 (binary_float_of_bits_aux mw ew b) = (IZR m * bpow radix2 x)%R.
Proof.
  intros Hm He. unfold decoded, binary_float_of_bits_aux, split_bits.
  set (fraction := b mod 2 ^ mw). set (exponent := (b / 2 ^ mw) mod 2 ^ ew). set (negative := 2 ^ mw * 2 ^ ew <=? b).
  assert (F : 0 <= fraction) by (apply Z.mod_pos_bound, Z.pow_pos_nonneg; lia).
  assert (E : 0 <= exponent) by (apply Z.mod_pos_bound, Z.pow_pos_nonneg; lia).
  assert (W : 0 < 2 ^ mw) by (apply Z.pow_pos_nonneg; lia).
  assert (Signed : forall px y, (F2R (Float radix2 (SpecFloat.cond_Zopp negative (Zpos px)) y) = IZR (if negative then - Zpos px else Zpos px) * bpow radix2 y)%R)
    by (intros; unfold F2R, SpecFloat.cond_Zopp; destruct negative; reflexivity).
  destruct (Z.eqb_spec exponent (2 ^ ew - 1)) as [|Top]; [discriminate|]. intros D. injection D as <- <-.
  assert (Least : SpecFloat.emin (mw + 1) (2 ^ (ew - 1)) = 2 - 2 ^ (ew - 1) - mw) by (unfold SpecFloat.emin; lia).
  destruct (Zeq_bool exponent 0) eqn:Zero.
  - apply Zeq_bool_eq in Zero. rewrite (proj2 (Z.eqb_eq _ _) Zero), Zero.
    replace (Z.max 0 1 + 1 - 2 ^ (ew - 1) - mw) with (2 - 2 ^ (ew - 1) - mw) by lia. rewrite <- Least.
    destruct fraction as [|px|px] eqn:Fr; [|apply Signed|lia]. cbn [FF2R]. destruct negative; cbn [Z.opp]; ring.
  - apply Zeq_bool_neq in Zero. rewrite (proj2 (Z.eqb_neq _ _) Zero).
    destruct (Zeq_bool exponent (2 ^ ew - 1)) eqn:T; [now apply Zeq_bool_eq in T|].
    destruct (fraction + 2 ^ mw) as [|px|px] eqn:Fr; [lia| |lia]. cbn [FF2R]. rewrite Signed, Least.
    do 2 f_equal. lia.
Qed.

Lemma pow_bpow k : 0 <= k -> IZR (2 ^ k) = bpow radix2 k.
Proof. intros H. exact (IZR_Zpower radix2 k H). Qed.
Lemma scaled_value e m x z : 0 <= e -> scaled e (Some (m, x)) = Some z -> (IZR z / IZR (2 ^ e) = IZR m * bpow radix2 x)%R.
Proof.
  intros He. unfold scaled. rewrite (pow_bpow e He). assert (B := bpow_gt_0 radix2 e).
  destruct (Z.leb_spec 0 (x + e)) as [U|U].
  - intros S. injection S as <-. rewrite mult_IZR, (pow_bpow _ U), bpow_plus. field. lra.
  - destruct (Z.eqb_spec (m / 2 ^ (- (x + e)) * 2 ^ (- (x + e))) m) as [S|]; [|discriminate]. intros R. injection R as <-.
    set (z := m / 2 ^ (- (x + e))) in *. rewrite <- S, mult_IZR, (pow_bpow (- (x + e))) by lia.
    replace x with (- (- (x + e)) + - e) at 2 by lia. rewrite bpow_plus, (bpow_opp radix2 e), (bpow_opp radix2 (- (x + e))).
    assert (C := bpow_gt_0 radix2 (- (x + e))). field. lra.
Qed.

Theorem integers_value e t i j : 0 <= e -> exact e t = true -> (IZR (integers e t i j) / IZR (2 ^ e) = float t i j)%R.
Proof.
  intros He H. unfold exact in H. apply andb_prop in H as [H All]. apply andb_prop in H as [Hm Hx].
  apply Z.ltb_lt in Hm, Hx. unfold integers. rewrite memo2_eq.
  assert (S : exists z, integer e t i j = Some z).
  { destruct ((i <? rows t) && (j <? columns t))%nat eqn:R.
    - apply andb_prop in R as [Ri Rj]. apply Nat.ltb_lt in Ri, Rj. rewrite forallb_forall in All.
      specialize (All i ltac:(apply in_seq; lia)). rewrite forallb_forall in All. specialize (All j ltac:(apply in_seq; lia)).
      destruct (integer e t i j); [eauto|discriminate].
    - unfold integer, bits_at. rewrite R. unfold decoded. rewrite Z.div_0_l, !Z.mod_0_l by (apply Z.pow_nonzero; lia).
      assert (P : 2 <= 2 ^ exponent_bits t) by (apply (Z.pow_le_mono_r 2 1); lia).
      rewrite (proj2 (Z.eqb_neq 0 (2 ^ exponent_bits t - 1))) by lia. cbn [Z.eqb Z.opp].
      assert (N : (if 2 ^ fraction_bits t * 2 ^ exponent_bits t <=? 0 then 0 else 0) = 0) by (destruct (_ <=? _); reflexivity).
      rewrite N. unfold scaled. match goal with |- context [0 <=? ?u] => destruct (Z.leb_spec 0 u) end; [eauto|]. cbn [Z.mul]. rewrite Z.div_0_l by (apply Z.pow_nonzero; lia). cbn. eauto. }
  destruct S as [z S]. rewrite S. unfold integer in S.
  destruct (decoded (fraction_bits t) (exponent_bits t) (bits_at t i j)) as [[m x]|] eqn:D; [|discriminate].
  rewrite (scaled_value e m x z He S). symmetry. now apply decoded_value.
Qed.
