(* The statement: how many sequences a transformer is right about, the label being their n-th largest token (FORMAT.md 3.1). *)
From Coq Require Import Reals Lia ZArith List Arith Bool.
From CompactProofs Require Import Semantics Counting.
Import ListNotations.

Definition max_label (x : list nat) : nat := fold_right Nat.max O x.
Fixpoint remove_one (t : nat) (x : list nat) : list nat :=
  match x with [] => [] | a :: r => if (a =? t)%nat then r else a :: remove_one t r end.
(* The largest of what is left when a largest one has been removed so many times: 0 for the largest, n - 1 for the n-th. *)
Fixpoint nth_label (passed : nat) (x : list nat) : nat :=
  match passed with O => max_label x | S k => nth_label k (remove_one (max_label x) x) end.

Definition right (M : model) (x : list nat) (m : nat) : bool :=
  forallb (fun o => (o =? m)%nat || if Rlt_dec (logit M x o + margin M) (logit M x m) then true else false) (seq 0 (nO M)).
Definition correct_nth (passed : nat) (M : model) (x : list nat) : bool := right M x (nth_label passed x).
(* Of all sequences of K tokens below V, how many are right about their n-th largest token, n = passed + 1. *)
Definition n_correct_nth (passed : nat) (M : model) : Z :=
  Z.of_nat (length (filter (correct_nth passed M) (all_lists (nV M) (nK M)))).
Notation correctb := (correct_nth 0).
Notation n_correct := (n_correct_nth 0).

Lemma right_iff M x m : right M x m = true <-> predicts M x m.
Proof.
  unfold right. rewrite forallb_forall. split.
  - intros H o Ho N. specialize (H o ltac:(apply in_seq; lia)). apply orb_prop in H as [H|H].
    + apply Nat.eqb_eq in H; easy.
    + destruct (Rlt_dec _ _); easy.
  - intros H o Ho. apply in_seq in Ho. destruct (Nat.eqb_spec o m); auto. cbn [orb].
    destruct (Rlt_dec _ _) as [|N]; auto. exfalso; apply N, H; auto; lia.
Qed.
Lemma correct_spec passed M x : predicts M x (nth_label passed x) -> correct_nth passed M x = true.
Proof. apply right_iff. Qed.
Lemma n_correct_nonneg passed M : (0 <= n_correct_nth passed M)%Z.
Proof. unfold n_correct_nth. lia. Qed.

Lemma count_pos gg f : (0 < count gg f)%nat -> exists t, In t f /\ gg t = true.
Proof.
  induction f as [|t f IH]; simpl; [lia|]. destruct (gg t) eqn:E; [eauto|]. intros H. destruct (IH H) as (u & ? & ?); eauto.
Qed.
Lemma count_in gg f t : In t f -> gg t = true -> (0 < count gg f)%nat.
Proof. induction f as [|a f IH]; simpl; intros [] E; subst; [rewrite E; lia|]. destruct (gg a); [lia|auto]. Qed.
Lemma count_app gg f f' : count gg (f ++ f') = (count gg f + count gg f')%nat.
Proof. induction f as [|a f IH]; simpl; auto. rewrite IH. destruct (gg a); auto. Qed.
Lemma count_remove gg t x : In t x -> count gg x = ((if gg t then 1 else 0) + count gg (remove_one t x))%nat.
Proof.
  induction x as [|a x IH]; intros I; [destruct I|]. cbn [count remove_one]. destruct (Nat.eqb_spec a t) as [->|N].
  - destruct (gg t); lia.
  - destruct I as [->|I]; [easy|]. cbn [count]. rewrite (IH I). destruct (gg a), (gg t); lia.
Qed.

Lemma in_le_max x t : In t x -> (t <= max_label x)%nat.
Proof. induction x as [|a x IH]; simpl; intros []; subst; [lia|]. specialize (IH H); lia. Qed.
Lemma max_label_le x m : (forall t, In t x -> (t <= m)%nat) -> (max_label x <= m)%nat.
Proof. induction x as [|a x IH]; simpl; intros H; [lia|]. assert (a <= m)%nat by auto. specialize (IH ltac:(auto)). lia. Qed.
Lemma max_label_in x : x <> [] -> In (max_label x) x.
Proof.
  induction x as [|a r IH]; intros N; [easy|]. destruct r as [|b r]; [left; cbn; lia|]. specialize (IH ltac:(easy)).
  change (max_label (a :: b :: r)) with (Nat.max a (max_label (b :: r))).
  destruct (Nat.max_spec a (max_label (b :: r))) as [[_ ->]|[_ ->]]; [right; auto|left; auto].
Qed.

(* With A tokens above m, and B equal to it: m is the n-th largest if A < n <= A + B. *)
Lemma nth_label_spec m : forall passed x, (count (fun t => (m <? t)%nat) x <= passed)%nat ->
  (passed < count (fun t => (m <? t)%nat) x + count (fun t => (t =? m)%nat) x)%nat -> nth_label passed x = m.
Proof.
  induction passed as [|k IH]; intros x A B.
  - cbn. apply Nat.le_antisymm.
    + apply max_label_le. intros t I. destruct (Nat.le_gt_cases t m) as [|L]; auto. exfalso.
      apply (count_in (fun t => (m <? t)%nat)) in I; [lia|]. now apply Nat.ltb_lt.
    + apply in_le_max. destruct (count_pos (fun t => (t =? m)%nat) x ltac:(lia)) as (t & I & E). apply Nat.eqb_eq in E. now subst.
  - cbn [nth_label]. assert (N : x <> []) by (intros ->; cbn in B; lia). assert (I := max_label_in x N).
    assert (C1 := count_remove (fun t => (m <? t)%nat) _ x I). assert (C2 := count_remove (fun t => (t =? m)%nat) _ x I).
    cbn beta in C1, C2. assert (L : (m <= max_label x)%nat).
    { destruct (count_pos (fun t => (m <=? t)%nat) x) as (t & It & E).
      - assert (S : forall y, count (fun t => (m <=? t)%nat) y = (count (fun t => (m <? t)%nat) y + count (fun t => (t =? m)%nat) y)%nat).
        { induction y as [|a y IHy]; cbn [count]; auto. rewrite IHy.
          destruct (Nat.leb_spec m a), (Nat.ltb_spec m a), (Nat.eqb_spec a m); lia. }
        rewrite S. lia.
      - apply Nat.leb_le in E. apply in_le_max in It. lia. }
    assert (Z : max_label x = m -> count (fun t => (m <? t)%nat) x = 0%nat).
    { intros E. destruct (Nat.eq_0_gt_0_cases (count (fun t => (m <? t)%nat) x)) as [|G]; auto.
      apply count_pos in G as (t & It & Et). apply Nat.ltb_lt in Et. apply in_le_max in It. lia. }
    apply IH; destruct (Nat.ltb_spec m (max_label x)), (Nat.eqb_spec (max_label x) m); try specialize (Z e); lia.
Qed.
