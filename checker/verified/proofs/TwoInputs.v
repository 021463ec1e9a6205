(* Networks with one hidden layer on two inputs, over the reals (FORMAT.md 2.5), and how many pairs one is right about
   (FORMAT.md 3.2). *)
From Coq Require Import Reals Lra Lia ZArith List Arith Bool.
From CompactProofs Require Import Semantics Counting.
Import ListNotations.
Open Scope R_scope.

Definition relu (x : R) : R := Rmax 0 x.

(* group-mlp, of m neurons: the logit of z on (a, b). *)
Definition mlp_logit (m : nat) (left right : nat -> nat -> R) (bin : nat -> R) (WU : nat -> nat -> R) (bU : nat -> R)
  (a b z : nat) : R :=
  rsum m (fun i => relu (left a i + right b i + bin i) * WU i z) + bU z.

(* uniform-attention: tokens a, b and "=", which is n; H heads. W_V h i k, b_V h k, W_O h k i. *)
Section Uniform.
Variables n d dh H m : nat.
Variables WE WP : nat -> nat -> R.
Variable WV : nat -> nat -> nat -> R.
Variable bV : nat -> nat -> R.
Variable WO : nat -> nat -> nat -> R.
Variable bO : nat -> R.
Variable Win : nat -> nat -> R.
Variable bin : nat -> R.
Variable Wout : nat -> nat -> R.
Variable bout : nat -> R.
Variable WU : nat -> nat -> R.
Variable bU : nat -> R.
Variables a b : nat.

Definition token (j : nat) : nat := nth j [a; b; n] 0%nat.
(* What a head reads: the mean over the three positions. *)
Definition read (h k : nat) : R := rsum 3 (fun j => rsum d (fun i => (WE (token j) i + WP j i) * WV h i k)) / 3 + bV h k.
Definition stream (i : nat) : R := WE n i + WP 2 i + bO i + rsum H (fun h => rsum dh (fun k => read h k * WO h k i)).
Definition hidden_unit (j : nat) : R := relu (rsum d (fun i => stream i * Win i j) + bin j).
Definition uniform_logit (z : nat) : R :=
  rsum d (fun i => (stream i + rsum m (fun j => hidden_unit j * Wout j i) + bout i) * WU i z) + bU z.
End Uniform.

(* Of all pairs of elements below n, how many have the entry of a table as the output, one of O, that exceeds all others by
   more than the margin. *)
Section Pairs.
Variables (n O : nat) (margin : R) (table : nat -> nat -> nat) (logit : nat -> nat -> nat -> R).
Definition right_pair (a b : nat) : bool :=
  (table a b <? O)%nat &&
  forallb (fun z => (z =? table a b)%nat || if Rlt_dec (logit a b z + margin) (logit a b (table a b)) then true
    else false) (seq 0 O).
Definition count_pairs (found : nat -> nat -> bool) : Z := zsum n (fun a => zsum n (fun b => b2z (found a b))).
Definition n_right_pairs : Z := count_pairs right_pair.

Lemma right_pair_iff a b :
  right_pair a b = true <->
  (table a b < O)%nat /\ forall z, (z < O)%nat -> z <> table a b -> logit a b z + margin < logit a b (table a b).
Proof.
  unfold right_pair. rewrite andb_true_iff, Nat.ltb_lt, forallb_forall. split; intros [T A]; split; auto.
  - intros z Hz N. specialize (A z ltac:(apply in_seq; lia)). apply orb_prop in A as [A|A]; [now apply Nat.eqb_eq in A|].
    now destruct (Rlt_dec _ _).
  - intros z Hz. apply in_seq in Hz. destruct (Nat.eqb_spec z (table a b)); auto. cbn [orb].
    destruct (Rlt_dec _ _) as [|N]; auto. exfalso. apply N, A; auto; lia.
Qed.

(* A function that tells right pairs, not necessarily all, finds no more than there are. *)
Lemma count_pairs_le found :
  (forall a b, (a < n)%nat -> (b < n)%nat -> found a b = true -> right_pair a b = true) ->
    (count_pairs found <= n_right_pairs)%Z.
Proof.
  intros A. apply zsum_le; intros a Ha. apply zsum_le; intros b Hb. destruct (found a b) eqn:F; cbn [b2z].
  - now rewrite (A a b Ha Hb F).
  - destruct (right_pair a b); cbn [b2z]; lia.
Qed.
End Pairs.
