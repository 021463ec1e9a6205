(* What the extracted checker calls about several reads of which each input is counted once: rule joint-reads, after rules
   regions and potentials for each read. *)
From Coq Require Import Reals Lia ZArith List Arith Bool.
From CompactProofs Require Import Semantics Counting PrefixChains QuickExponential Vectors Attention Transformers Automata
  HeadVectors Forward EveryInput Floats
  TransformerCounts ReadingOrder Boxes OneLayer AfterAttention Regions OneRead AllReads RegionCounts Potentials PotentialCounts PrefixClasses
  JointReads.
Import ListNotations.
Open Scope Z_scope.

Section Counts.
Variable M : automaton.
Variable states : nat.
Variable back : nat -> nat.   (* the step in which a position is read *)
Variable claims : nat -> read_claim.   (* of each read *)
Variable classes : class_claims.   (* if there are several layers *)
Variable potentials : nat -> option potentials_claim.   (* of each read that is not proved by rule regions *)
Variable watches : nat -> (nat -> bool) -> watch.   (* of each read, from which regions are proved *)
Variable joint : (nat -> watch) -> joint_states.
Variable A : architecture.
Variable tied : bool.
Variable W : tensors.
Variables (e p mn md : Z) (g terms : nat).
Notation V := (d_vocab A). Notation K := (n_ctx A).

Definition watch_by (r n : nat) (term : nat -> nat -> nat -> option box) (leads : nat -> nat -> nat -> box -> bool)
  (F : finer_automaton) (endings : nat -> nat -> Z * box) : option watch :=
  let edges := memo1 (steps M r) (fun i => memo2 (state_sizes F i) V (edge M r n (later (last_layer A)) term (leads_to F) (stands_for F) (of_query F)
    (sum_bounds F) i)) in
  let proved := memo1 (state_sizes F (steps M r)) (proved_region A M r n leads (stands_for F) (of_query F) (sum_bounds F)
    endings) in
  let found := watches r proved in
  if watched A M r n (later (last_layer A)) term (stands_for F) (of_query F) (sum_bounds F) found edges proved then Some found else None.
Definition no_watch : watch := Watch O (fun _ => O) (fun _ => O) (fun _ _ _ => None) (fun _ _ _ => O) (fun _ _ => O) (fun _ _ _
  => None).
Definition watch_read (T : transformer Z) (expo : Z -> Z * Z) (first : nat -> nat -> option spot)
  (after : AfterAttention.functions)
  (through : nat -> nat -> Z) (r : nat) : option watch :=
  if readable A M r back then
    match potentials r with
    | None => read_by_regions M states claims A e p mn md T expo first after r (watch_by r)
    | Some claim =>
      if of_potentials A then read_by_potentials M states claims A e p mn md T expo first through r claim (watch_by r) else None
    end
  else None.
Definition count_joint_reads : Z :=
  if fits A W e p md && simple M back A then
    let T := weights_as_integers A tied W e in
    let expo := quick_exp p g terms in
    let first := last_spots M states classes A e p T expo in
    let after := functions_of A e p T expo (last_layer A) in
    let through := unit_to_logits A T in
    let found := memo1 (length (reads M)) (watch_read T expo first after through) in
    if forallb (fun r => match found r with Some _ => true | None => false end) (seq 0 (length (reads M))) then
      let known := memo1 (length (reads M)) (fun r => match found r with Some w => w | None => no_watch end) in
      joint_count A M known (joint known)
    else 0
  else 0.

Notation margin := (IZR mn / IZR md)%R.
Notation RT := (float_transformer A tied W).
Lemma watch_by_right r n term leads F endings C : readable A M r back = true ->
  faithful A p M r states RT margin n (later (last_layer A)) term leads endings -> watch_by r n term leads F endings = Some C ->
  forall y, In y (all_lists V K) -> class_run C K O O y = true -> runs M K O O y = true ->
  right_read M A RT margin r (unread K back y) = true.
Proof.
  intros Rd Fa Wt y. unfold watch_by in Wt. cbv zeta in Wt. destruct (watched _ _ _ _ _ _ _ _ _ _ _) eqn:Wd; [|discriminate].
  injection Wt as <-. eapply (watched_right A p M r states back n (later (last_layer A)) term leads (leads_to F) (stands_for F) (of_query F)
    (sum_bounds F)
    endings); [| |destruct Fa as (? & ? & _ & _ & _ & _ & _ & En); exact En|destruct Fa as (? & ? & _ & _ & Hi & _); exact Hi|exact Wd|exact Rd|
    exact Fa].
  - intros i u t. rewrite memo1_eq. now rewrite memo2_eq.
  - intros u. now rewrite memo1_eq.
Qed.
Theorem count_joint_reads_sound : count_joint_reads <= n_right_inputs (By_automaton M) A RT margin.
Proof.
  unfold count_joint_reads. destruct (fits A W e p md && simple M back A) eqn:F; [|unfold n_right_inputs; lia].
  destruct (fitting M back A W e p md F) as (_ & _ & _ & _ & _ & _ & _ & S4 & S5 & _). cbv zeta. rewrite memo1_id.
  set (found := watch_read _ _ _ _ _).
  destruct (forallb _ _) eqn:All; [|unfold n_right_inputs; lia]. rewrite forallb_forall in All. rewrite memo1_id.
  assert (Each : forall r C, found r = Some C -> readable A M r back = true /\ forall y, In y (all_lists V K) ->
    class_run C K O O y = true -> runs M K O O y = true -> right_read M A RT margin r (unread K back y) = true).
  { intros r C E. unfold found, watch_read in E. destruct (readable A M r back) eqn:Rd; [|discriminate]. split; auto. revert E.
    set (right_then := fun o : option watch => o = Some C -> forall y, In y (all_lists V K) -> class_run C K O O y = true ->
      runs M K O O y = true -> right_read M A RT margin r (unread K back y) = true).
    assert (Use : forall n term leads G endings, faithful A p M r states RT margin n (later (last_layer A)) term leads endings -> right_then (watch_by
      r n
      term leads G endings)).
    { intros n term leads G endings Fa Ww. now apply (watch_by_right r n term leads G endings C). }
    destruct (potentials r) as [claim|].
    - destruct (of_potentials A) eqn:Of; [|unfold right_then; discriminate].
      exact (read_by_potentials_ok M states back claims classes A tied W e p mn md g terms right_then r claim _ F Of Use).
    - exact (read_by_regions_ok M states back claims classes A tied W e p mn md g terms right_then r _ F Use). }
  assert (R0 := All O ltac:(apply in_seq; lia)). destruct (found O) as [C|] eqn:F0; [|discriminate].
  apply (joint_count_le A M back); auto.
  { assert (Rd := proj1 (Each O C F0)). unfold readable in Rd. rewrite !andb_true_iff in Rd. now destruct Rd as [[[[[Rd _] _] _]
    _] _]. }
  intros r y Hr. specialize (All r ltac:(apply in_seq; lia)). destruct (found r) as [Cr|] eqn:Fr; [|discriminate].
  now apply (proj2 (Each r Cr Fr)).
Qed.
End Counts.
