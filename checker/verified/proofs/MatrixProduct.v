(* Products of matrices of integers: the rows of the second one are packed, so that a row of the product takes as many
   multiplications as the first has columns. *)
From Coq Require Import ZArith Lia List Arith Bool.
From CompactProofs Require Import Counting PrefixChains Packing.
Import ListNotations.
Open Scope Z_scope.

(* Entry (a, z) is the sum of A a i * B i z over i < k: from a table for a < n and z < O. *)
Definition packed_product (n k O : nat) (A B : nat -> nat -> Z) : nat -> nat -> Z :=
  let bound := zmax n (fun a => zsum k (fun i => Z.abs (A a i))) * zmax k (fun i => zmax O (fun z => Z.abs (B i z))) in
  let w := Z.log2 bound + 2 in
  let half := 2 ^ (w - 1) in
  let mask := Z.ones w in
  let rows := memo1 k (fun i => pack w O (B i)) in
  let offset := pack w O (fun _ => half) in
  let known := memo1 n (fun a => let x := zsum k (fun i => A a i * rows i) + offset
    in memo1 O (fun z => digit w mask z x - half)) in
  fun a z => if ((a <? n) && (z <? O))%nat then known a z else zsum k (fun i => A a i * B i z).

Lemma sum_bound k f g c : 0 <= c -> (forall i, (i < k)%nat -> Z.abs (g i) <= c) ->
  Z.abs (zsum k (fun i => f i * g i)) <= zsum k (fun i => Z.abs (f i)) * c.
Proof.
  intros C. induction k as [|k IH]; intros G; cbn [zsum]; [lia|]. specialize (IH ltac:(auto)). assert (L := G k ltac:(lia)).
  assert (Z.abs (f k * g k) <= Z.abs (f k) * c) by (rewrite Z.abs_mul; apply Z.mul_le_mono_nonneg_l; lia). lia.
Qed.
Lemma pack_zsum w O k f : 0 <= w -> pack w O (fun z => zsum k (fun i => f i z)) = zsum k (fun i => pack w O (f i)).
Proof. intros W. induction k as [|k IH]; cbn [zsum]; [now apply pack_0|]. rewrite <- IH. now apply pack_plus. Qed.

Lemma packed_product_eq n k O A B a z : packed_product n k O A B a z = zsum k (fun i => A a i * B i z).
Proof.
  unfold packed_product. destruct ((a <? n) && (z <? O))%nat eqn:L; auto. apply andb_prop in L as [La Lz].
  apply Nat.ltb_lt in La, Lz. set (most := zmax k (fun i => zmax O (fun z => Z.abs (B i z)))).
  set (sum := zmax n (fun a => zsum k (fun i => Z.abs (A a i)))). cbv zeta. rewrite !memo1_eq.
  set (w := Z.log2 (sum * most) + 2).
  set (half := 2 ^ (w - 1)). assert (W : 1 <= w) by (assert (X := Z.log2_nonneg (sum * most)); lia).
  assert (D : 2 ^ w = 2 * half) by (unfold half; rewrite <- Z.pow_succ_r by lia; f_equal; lia).
  assert (Half : 0 < half) by (apply Z.pow_pos_nonneg; lia).
  assert (Most : forall i z, (i < k)%nat -> (z < O)%nat -> Z.abs (B i z) <= most).
  { intros i y Hi Hy. assert (X := zmax_ge k (fun i => zmax O (fun z => Z.abs (B i z))) i Hi). cbn beta in X.
    assert (Y := zmax_ge O (fun z => Z.abs (B i z)) y Hy). cbn beta in Y. fold most in X. lia. }
  assert (Sum := zmax_ge n (fun a => zsum k (fun i => Z.abs (A a i))) a La). cbn beta in Sum. fold sum in Sum.
  destruct k as [|k'].
  { cbn [zsum]. rewrite Z.add_0_l, digit_pack; [lia|lia|reflexivity| |auto]. intros y _. lia. }
  set (k := S k') in *. assert (N : 0 <= most) by (specialize (Most 0%nat z ltac:(unfold k; lia) Lz); lia).
  set (f y := zsum k (fun i => A a i * B i y) + half).
  assert (F : zsum k (fun i => A a i * memo1 k (fun i => pack w O (B i)) i) + pack w O (fun _ => half) = pack w O f).
  { unfold f. rewrite pack_plus, (pack_zsum w O k (fun i z => A a i * B i z)) by lia. f_equal. apply zsum_ext; intros i _.
    now rewrite memo1_eq, pack_scal by lia. }
  rewrite F, digit_pack; [unfold f; lia|lia|reflexivity| |auto]. intros y Hy. unfold f.
  assert (X := sum_bound k (A a) (fun i => B i y) most N (fun i Hi => Most i y Hi Hy)). cbn beta in X.
  assert (Y : zsum k (fun i => Z.abs (A a i)) * most <= sum * most) by (apply Z.mul_le_mono_nonneg_r; auto).
  assert (H : sum * most < half).
  { unfold half, w. replace (Z.log2 (sum * most) + 2 - 1) with (Z.succ (Z.log2 (sum * most))) by lia.
    destruct (Z_le_gt_dec (sum * most) 0); [|apply Z.log2_spec; lia].
    assert (P := Z.pow_pos_nonneg 2 (Z.succ (Z.log2 (sum * most)))). assert (Q := Z.log2_nonneg (sum * most)). lia. }
  lia.
Qed.

(* In blocks of columns, so that no packed row is very long. *)
Definition columns : nat := 24.
Definition matrix_product (n k O : nat) (A B : nat -> nat -> Z) : nat -> nat -> Z :=
  let blocks := memo1 (S (O / columns)) (fun j => packed_product n k columns A (fun i z => B i (j * columns + z)%nat)) in
  fun a z => blocks (z / columns)%nat a (z mod columns)%nat.
Theorem matrix_product_eq n k O A B a z : matrix_product n k O A B a z = zsum k (fun i => A a i * B i z).
Proof.
  unfold matrix_product. rewrite memo1_eq, packed_product_eq. apply zsum_ext; intros i _. do 2 f_equal.
  rewrite (Nat.div_mod z columns) at 3 by (unfold columns; lia). lia.
Qed.
