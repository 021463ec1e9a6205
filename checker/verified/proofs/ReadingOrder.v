(* Counting inputs in the order in which an automaton reads them, and how many a task that is an automaton has. *)
From Coq Require Import Reals Lia ZArith List Arith Bool Permutation.
From CompactProofs Require Import Semantics Counting Labels PrefixChains Attention Transformers Automata.
Import ListNotations.

(* A permutation of the positions, with its inverse. *)
Section Order.
Variables V K : nat.
Variables forth back : nat -> nat.
Definition inverse : bool :=
  forallb (fun i => (forth i <? K)%nat && (back (forth i) =? i)%nat) (seq 0 K) && forallb (fun j => (back j <? K)%nat && (forth
    (back j) =? j)%nat) (seq 0 K).
Hypothesis Inverse : inverse = true.
Lemma forth_ok i : (i < K)%nat -> (forth i < K)%nat /\ back (forth i) = i.
Proof.
  intros L. apply andb_prop in Inverse as [F _]. rewrite forallb_forall in F. specialize (F i ltac:(apply in_seq; lia)).
  apply andb_prop in F as [A B]. now rewrite <- Nat.ltb_lt, <- Nat.eqb_eq.
Qed.
Lemma back_ok i : (i < K)%nat -> (back i < K)%nat /\ forth (back i) = i.
Proof.
  intros L. apply andb_prop in Inverse as [_ F]. rewrite forallb_forall in F. specialize (F i ltac:(apply in_seq; lia)).
  apply andb_prop in F as [A B]. now rewrite <- Nat.ltb_lt, <- Nat.eqb_eq.
Qed.
(* Tokens by position, from tokens by step. *)
Definition unread (y : list nat) : list nat := map (fun j => nth (back j) y O) (seq 0 K).
Lemma unread_nth y i : (i < K)%nat -> nth (forth i) (unread y) O = nth i y O.
Proof.
  intros L. destruct (forth_ok i L) as [A B]. unfold unread. rewrite (nth_indep _ O (nth (back K) y O)) by now rewrite
    map_length, seq_length.
  rewrite (map_nth (fun j => nth (back j) y O)), seq_nth by auto. now rewrite Nat.add_0_l, B.
Qed.
Lemma unread_in y : In y (all_lists V K) -> In (unread y) (all_lists V K).
Proof.
  rewrite !all_lists_spec. intros [L F]. unfold unread. rewrite map_length, seq_length. split; auto. rewrite Forall_forall in *.
  intros t I. apply in_map_iff in I as (j & <- & J). apply in_seq in J. apply F, nth_In. destruct (back_ok j ltac:(lia)). lia.
Qed.
Lemma nodup_all_lists n : NoDup (all_lists V n).
Proof.
  induction n as [|n IH]; cbn; [constructor; [intros []|constructor]|].
  assert (G : forall l, NoDup l -> NoDup (flat_map (fun t => map (cons t) (all_lists V n)) l)).
  { induction l as [|t l IHl]; cbn; intros D; [constructor|]. inversion D as [|? ? N D']; subst.
    assert (Dm : NoDup (map (cons t) (all_lists V n))) by (apply FinFun.Injective_map_NoDup; auto; intros a b E;
      now injection E).
    revert Dm. assert (Apart : forall f, In f (map (cons t) (all_lists V n)) -> ~ In f (flat_map (fun t => map (cons t)
      (all_lists V n)) l)).
    { intros f I I'. apply in_map_iff in I as (g & <- & _). apply in_flat_map in I' as (t' & T' & I').
      apply in_map_iff in I' as (g' & E & _).
      injection E as -> _. contradiction. }
    revert Apart. generalize (map (cons t) (all_lists V n)) as a. induction a as [|f a IHa]; cbn; intros Apart Da; auto.
    inversion Da as [|? ? Nf Da']; subst. constructor; [|apply IHa; auto].
    intros I. apply in_app_or in I as [I|I]; [contradiction|]. apply (Apart f); auto. }
  apply G, seq_NoDup.
Qed.
(* As many lists by step with a property, as there are by position, at most. *)
Lemma count_unread (P Q : list nat -> bool) : (forall y, In y (all_lists V K) -> P y = true -> Q (unread y) = true) ->
  (cnt V all K P <= Z.of_nat (length (filter Q (all_lists V K))))%Z.
Proof.
  intros I. rewrite cnt_spec. apply inj_le. rewrite <- (map_length unread). apply NoDup_incl_length.
  - assert (D := NoDup_filter P (nodup_all_lists K)). assert (S : forall y, In y (filter P (all_lists V K)) -> length y = K).
    { intros y Y. apply filter_In in Y as [Y _]. now apply all_lists_spec in Y. }
    revert D S. generalize (filter P (all_lists V K)) as l. induction l as [|y l IH]; cbn; intros D S; constructor.
    + inversion D as [|? ? N D']; subst. intros Y. apply in_map_iff in Y as (z & E & Z). assert (z = y); [|now subst].
      apply nth_ext with (d := O) (d' := O); [rewrite !S; auto|]. intros i Hi. rewrite (S z) in Hi by auto.
      rewrite <- (unread_nth z i Hi), <- (unread_nth y i Hi). now rewrite E.
    + apply IH; [now inversion D|auto].
  - intros z Z. apply in_map_iff in Z as (y & <- & Y). apply filter_In in Y as [Y Py]. apply filter_In.
    split; [now apply unread_in|auto].
Qed.
(* Sums over positions are sums over steps. *)
Lemma rsum_steps (f : nat -> R) : rsum K f = rsum K (fun i => f (forth i)).
Proof.
  assert (Rl : forall n (g : nat -> R), rsum n g = rlist (seq 0 n) g).
  { induction n; intros g; auto. rewrite seq_S. cbn [rsum plus]. rewrite IHn. clear. generalize (seq 0 n) as l.
    induction l as [|a l IH]; cbn; [Lra.lra|]. rewrite <- IH. Lra.lra. }
  assert (Pm : forall (l k : list nat) (g : nat -> R), Permutation l k -> rlist l g = rlist k g) by (induction 1; cbn; Lra.lra).
  rewrite !Rl. rewrite <- (rlist_map forth (seq 0 K) f). apply Pm. apply NoDup_Permutation_bis.
  - apply seq_NoDup.
  - now rewrite map_length.
  - intros j J. apply in_seq in J. destruct (back_ok j ltac:(lia)) as [B E]. apply in_map_iff. exists (back j). split; auto.
    apply in_seq. lia.
Qed.
End Order.
