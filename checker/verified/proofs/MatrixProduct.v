(* Products of matrices of integers: the rows of the second one are packed, so that a row of the product takes as many
   multiplications as the first has columns. *)
From Coq Require Import ZArith Lia List Arith Bool.
From CompactProofs Require Import Counting PrefixChains Packing.
Import ListNotations.
Open Scope Z_scope.

(* The sums of x i * B i z over i < k, for z < O at once, if digits of w bits are enough for them; one by one otherwise. *)
Definition row_product (w : Z) (k O : nat) (B : nat -> nat -> Z) : (nat -> Z) -> nat -> Z :=
  let half := 2 ^ (w - 1) in
  let mask := Z.ones w in
  let rows := memo1 k (fun i => pack w O (B i)) in
  let most := memo1 k (fun i => zmax O (fun z => Z.abs (B i z))) in
  let offset := pack w O (fun _ => half) in
  fun x =>
    let bound := zsum k (fun i => Z.abs (x i) * most i) in
    let fits := (1 <=? w) && (bound <? half) in
    let sum := if fits then zsum k (fun i => x i * rows i) + offset else 0 in
    fun z => if fits && (z <? O)%nat then if bound =? 0 then 0 else digit w mask z sum - half
      else zsum k (fun i => x i * B i z).
(* In blocks of columns, so that no packed row is very long. *)
Definition columns : nat := 24.
Definition block_product (w : Z) (k O : nat) (B : nat -> nat -> Z) : (nat -> Z) -> nat -> Z :=
  let count := S (O / columns) in
  let column i y := if (y <? O)%nat then B i y else 0 in
  let blocks := memo1 count (fun j => row_product w k columns (fun i z => column i (j * columns + z)%nat)) in
  let block := memo1 O (fun z => z / columns)%nat in
  let within := memo1 O (fun z => z mod columns)%nat in
  fun x =>
    let known := memo1 count (fun j => blocks j x) in
    fun z => if (z <? O)%nat then known (block z) (within z) else zsum k (fun i => x i * B i z).
(* Entry (a, z) of a product is the sum of A a i * B i z over i < k: from a table for a < n and z < O. *)
Definition matrix_product (n k O : nat) (A B : nat -> nat -> Z) : nat -> nat -> Z :=
  let bound := zmax n (fun a => zsum k (fun i => Z.abs (A a i))) * zmax k (fun i => zmax O (fun z => Z.abs (B i z))) in
  let row := block_product (Z.log2 bound + 2) k O B in
  memo1 n (fun a => memo1 O (row (A a))).

Lemma pack_zsum w O k f : 0 <= w -> pack w O (fun z => zsum k (fun i => f i z)) = zsum k (fun i => pack w O (f i)).
Proof. intros W. induction k as [|k IH]; cbn [zsum]; [now apply pack_0|]. rewrite <- IH. now apply pack_plus. Qed.
Lemma sum_bound k f g c : (forall i, (i < k)%nat -> Z.abs (g i) <= c i) ->
  Z.abs (zsum k (fun i => f i * g i)) <= zsum k (fun i => Z.abs (f i) * c i).
Proof.
  induction k as [|k IH]; intros G; cbn [zsum]; [lia|]. specialize (IH ltac:(auto)). assert (L := G k ltac:(lia)).
  assert (Z.abs (f k * g k) <= Z.abs (f k) * c k) by (rewrite Z.abs_mul; apply Z.mul_le_mono_nonneg_l; lia). lia.
Qed.
Lemma row_product_eq w k O B x z : row_product w k O B x z = zsum k (fun i => x i * B i z).
Proof.
  unfold row_product. set (half := 2 ^ (w - 1)). set (most i := zmax O (fun z => Z.abs (B i z))). cbv zeta.
  destruct ((1 <=? w) && (_ <? half)) eqn:F; cbn [andb]; auto. destruct (Nat.ltb_spec z O) as [L|]; auto.
  assert (X := sum_bound k x (fun i => B i z) most (fun i _ => zmax_ge O (fun z => Z.abs (B i z)) z L)). cbn beta in X.
  rewrite (zsum_ext k (fun i => Z.abs (x i) * memo1 k most i) (fun i => Z.abs (x i) * most i)) in * by (intros;
    now rewrite memo1_eq).
  destruct (Z.eqb_spec (zsum k (fun i => Z.abs (x i) * most i)) 0) as [Zero|_]; [lia|]. apply andb_prop in F as [W F].
  apply Z.leb_le in W. apply Z.ltb_lt in F. clear X.
  assert (D : 2 ^ w = 2 * half) by (unfold half; rewrite <- Z.pow_succ_r by lia; f_equal; lia).
  set (f y := zsum k (fun i => x i * B i y) + half).
  assert (E : zsum k (fun i => x i * memo1 k (fun i => pack w O (B i)) i) + pack w O (fun _ => half) = pack w O f).
  { unfold f. rewrite pack_plus, (pack_zsum w O k (fun i z => x i * B i z)) by lia. f_equal. apply zsum_ext; intros i _.
    now rewrite memo1_eq, pack_scal by lia. }
  rewrite E, digit_pack; [unfold f; lia|lia|reflexivity| |auto]. intros y Hy. unfold f.
  assert (X := sum_bound k x (fun i => B i y) most (fun i _ => zmax_ge O (fun z => Z.abs (B i z)) y Hy)). cbn beta in X. lia.
Qed.
Lemma block_product_eq w k O B x z : block_product w k O B x z = zsum k (fun i => x i * B i z).
Proof.
  unfold block_product. cbv zeta. destruct (z <? O)%nat eqn:L; auto. rewrite !memo1_eq, row_product_eq.
  apply zsum_ext; intros i _. replace (z / columns * columns + z mod columns)%nat with z; [now rewrite L|].
  rewrite (Nat.div_mod z columns) at 1 by (unfold columns; lia). lia.
Qed.
Theorem matrix_product_eq n k O A B a z : matrix_product n k O A B a z = zsum k (fun i => A a i * B i z).
Proof. unfold matrix_product. rewrite !memo1_eq. apply block_product_eq. Qed.
