(* Linear functions of what attention sums up (OneLayer.v), with coefficients for each query: bounds of what each token adds. *)
From Coq Require Import Reals Lra Lia ZArith List Arith Bool.
From CompactProofs Require Import Semantics Counting PrefixChains Exponential MatrixProduct Vectors Attention Transformers
  HeadVectors Forward EveryInput Boxes OneLayer.
Import ListNotations.
Open Scope R_scope.

Section TokenSums.
Variable p : Z.
Variables size n : nat.   (* of so many numbers so many functions *)
Variable F : Z.   (* coefficients are in units of 2^-F *)
Variable coef : nat -> nat -> nat -> Z.
Notation P := (IZR (2 ^ p)).

Definition image (q : nat) : box -> box :=
  let M := memo2 size n (coef q) in
  let lows := sums_of p size n M in
  let highs := sums_of p size n (fun i k => - M i k)%Z in
  fun b =>
    let low := lows b in
    let high := highs b in
    memo1 n (fun k => (fshr (low k) (F + 1), cshr (- high k) (F + 1))%Z).
Definition function (q : nat) (z : nat -> R) (k : nat) : R := rsum size (fun i => z i * (IZR (coef q i k) / IZR (2 ^ F))).

Hypothesis Hp : (0 <= p)%Z.
Hypothesis HF : (0 <= F)%Z.
Lemma image_ok q b z : inside p size b z -> inside p n (image q b) (function q z).
Proof.
  intros I k Hk. unfold image, sums_of. cbv zeta. rewrite memo2_id, memo1_eq. cbn [fst snd]. rewrite !low_sums_eq by auto.
  assert (L := low_sum_le size b (fun i => coef q i k) z P I). assert (G := low_sum_ge size b (fun i => coef q i k) z P I).
  assert (X := pw_pos F HF). assert (D : IZR (2 ^ (F + 1)) = IZR (2 ^ F) * 2) by (now rewrite pw_add by lia).
  assert (F1 := fshr_le (low_sum size b (fun i => coef q i k)) (F + 1) ltac:(lia)).
  assert (F2 := cshr_ge (- low_sum size b (fun i => - coef q i k)%Z) (F + 1) ltac:(lia)). rewrite D in F1, F2.
  assert (E : function q z k * IZR (2 ^ F) = rsum size (fun i => z i * IZR (coef q i k))).
  { unfold function. rewrite <- rsum_scal_r. apply rsum_ext; intros i _. field. lra. }
  cbn beta in L, G. rewrite <- E in L, G. split; apply Rmult_le_reg_r with (IZR (2 ^ F) * 2); lra.
Qed.
(* It is the sum of what positions add. *)
Lemma function_sum q m z k : function q (fun i => rsum m (z i)) k = rsum m (fun j => function q (fun i => z i j) k).
Proof.
  unfold function. rewrite (rsum_ext size _ (fun i => rsum m (fun j => z i j * (IZR (coef q i k) / IZR (2 ^ F))))) by
    (intros; now rewrite rsum_scal_r).
  apply rsum_swap.
Qed.
End TokenSums.
