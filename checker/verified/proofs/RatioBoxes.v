(* Boxes of ratios, by number: their places, and their corners, are digits. What is linear in each ratio is between its values
   at corners; a number between the first and the last of some edges is in one of the gaps between them. *)
From Coq Require Import Reals Lra Lia ZArith List Arith Bool.
From CompactProofs Require Import Semantics.
Open Scope R_scope.

Definition digit (base x h : nat) : nat := ((x / base ^ h) mod base)%nat.
Lemma digits (base : nat) : forall n (f : nat -> nat), (forall h, (h < n)%nat -> (f h < base)%nat) ->
  exists x, (x < base ^ n)%nat /\ forall h, (h < n)%nat -> digit base x h = f h.
Proof.
  induction n as [|n IH]; intros f L; [exists O; cbn; split; [lia|intros; lia]|].
  destruct (IH f ltac:(auto)) as (x & Lx & D). assert (Ln := L n ltac:(lia)). assert (P : (base ^ n <> 0)%nat) by
    (apply Nat.pow_nonzero; lia).
  exists (x + f n * base ^ n)%nat. split; [cbn [Nat.pow]; set (b := (base ^ n)%nat) in *; assert (f n * b + b <= base * b)%nat
    by nia; lia|]. intros h Hh. unfold digit.
  destruct (Nat.eq_dec h n) as [->|N].
  - rewrite Nat.div_add, (Nat.div_small x) by auto. rewrite Nat.mod_small; lia.
  - rewrite <- (D h) by lia. unfold digit. assert (Ph : (base ^ h <> 0)%nat) by (apply Nat.pow_nonzero; lia).
    replace (f n * base ^ n)%nat with (f n * base ^ (n - h - 1) * base * base ^ h)%nat.
    + rewrite Nat.div_add by auto. apply Nat.mod_add. lia.
    + replace (base ^ n)%nat with (base ^ (n - h - 1) * (base * base ^ h))%nat; [lia|].
      rewrite <- (Nat.pow_succ_r' base h), <- Nat.pow_add_r. f_equal. lia.
Qed.

Lemma between_edges (e : nat -> R) (r : R) : forall n a, (0 < n)%nat -> e a <= r <= e (a + n)%nat ->
  exists i, (a <= i < a + n)%nat /\ e i <= r <= e (S i).
Proof.
  induction n as [|n IH]; intros a Pos B; [lia|]. destruct n as [|n]; [exists a; split; [lia|]; now rewrite Nat.add_1_r in B|].
  destruct (Rle_dec r (e (S a))) as [L|L]; [exists a; split; [lia|lra]|].
  destruct (IH (S a) ltac:(lia)) as (i & I & Bi); [split; [lra|]; now replace (S a + S n)%nat with (a + S (S n))%nat by lia|].
  exists i. split; [lia|auto].
Qed.
(* There are such edges for each of some numbers at once. *)
Lemma all_between_edges (e : nat -> nat -> R) (r : nat -> R) (a b : nat -> nat) : forall n,
  (forall h, (h < n)%nat -> (a h < b h)%nat /\ e h (a h) <= r h <= e h (b h)) ->
  exists i, forall h, (h < n)%nat -> (a h <= i h < b h)%nat /\ e h (i h) <= r h <= e h (S (i h)).
Proof.
  induction n as [|n IH]; intros L; [exists (fun _ => O); intros; lia|]. destruct (IH ltac:(auto)) as [i I].
  destruct (L n ltac:(lia)) as [Ln B].
  destruct (between_edges (e n) (r n) (b n - a n) (a n)) as (k & K & Bk); [lia|now replace (a n + (b n - a n))%nat with (b n)
    by lia|].
  exists (fun h => if (h =? n)%nat then k else i h). intros h Hh. destruct (Nat.eqb_spec h n) as [->|].
  - split; [lia|auto].
  - apply I. lia.
Qed.

(* Of a sum of ratios, less other numbers, times g: some corner gives no more than it. The ratios of heads but the first. *)
Lemma some_corner n (low high r g : nat -> R) : (forall h, (h < n)%nat -> low h <= r h <= high h) ->
  exists c, (c < 2 ^ n)%nat /\
    rsum n (fun h => (if (digit 2 c h =? 0)%nat then low h else high h) * g h) <= rsum n (fun h => r h * g h).
Proof.
  intros B. destruct (digits 2 n (fun h => if Rle_dec 0 (g h) then 0 else 1)%nat) as (c & Lc & D).
  { intros h _. destruct (Rle_dec 0 (g h)); lia. }
  exists c. split; auto. clear Lc. induction n as [|n IH]; cbn [rsum]; [lra|]. apply Rplus_le_compat; [apply IH; auto|].
  rewrite D by lia. specialize (B n ltac:(lia)). destruct (Rle_dec 0 (g n)); cbn [Nat.eqb]; nra.
Qed.
