(* One read proved for the regions of a finer automaton, whatever is summed up over positions: from bounds of the sums that show
   what leads, to a number of inputs that are right at the read (rules regions and potentials). *)
From Coq Require Import Reals Lra Lia ZArith List Arith Bool.
From CompactProofs Require Import Semantics Counting Labels PrefixChains Exponential Vectors Attention Transformers Automata
  HeadVectors Forward EveryInput ReadingOrder Boxes OneLayer AfterAttention Regions.
Import ListNotations.
Open Scope Z_scope.

(* Right at the read with a number. *)
Definition right_read (M : automaton) (A : architecture) (T : transformer R) (margin : R) (r : nat) (x : list nat) : bool :=
  match run M x (n_ctx A) with
  | None => false
  | Some found => match nth_error found r with Some (position, o) => right_at A T x margin position o | None => false end
  end.

Section OneRead.
Variable A : architecture.
Variable p : Z.
Variable M : automaton.
Variables number states : nat.
Variable back : nat -> nat.   (* the step in which a position is read *)
Variable W : nat.
Variable by_state : bool.
Variable symbols : nat.
Variable term : nat -> nat -> nat -> option box.
Variable leads : nat -> nat -> nat -> box -> bool.
Variable starts : nat -> option nat.
Variable finer : nat -> nat -> nat -> option nat.
Variables label owner : nat -> nat -> nat.
Variable bounds : nat -> nat -> box.
Variable sizes : nat -> nat.
Variable endings : nat -> nat -> Z * box.
Notation V := (d_vocab A). Notation K := (n_ctx A).
Notation at_position := (position M number).
Notation steps := (steps M number).
Definition readable : bool :=
  inverse K (order M) back && inverse K back (order M) && (0 <? K)%nat && (number <? length (reads M))%nat && (at_position <?
    K)%nat &&
  forallb (fun rd => (1 <=? snd rd)%nat && (snd rd <=? K)%nat) (reads M).
Definition count_read : Z := count_regions A M number W by_state symbols term leads starts finer label owner bounds sizes endings.

(* What terms and bounds mean. *)
Variable RT : transformer R.
Variable margin : R.
Variable sym : list nat -> nat -> nat.   (* of an input: the symbol at a position *)
Variable total : list nat -> nat -> nat -> R.   (* and what is added up in coordinate k at position j *)
Notation lives x := (In x (all_lists V K) /\ state_after M x K <> None).
Hypothesis Readable : readable = true.
Hypothesis Symbol : forall x i s, (i < K)%nat -> state_after M x (S i) = Some s ->
  symbol_of by_state s (nth (order M i) x O) = sym x (order M i).
Hypothesis Term : forall x j b, lives x -> (at_position < K)%nat -> (j < K)%nat -> term (sym x at_position) (sym x j) j = Some b
  -> inside p W b (fun k => total x k j).
Hypothesis Unseen : forall x j k, unseen A M number j = true -> total x k j = 0%R.
Hypothesis Leads : forall x u best b, lives x -> (at_position < K)%nat ->
  (forall j, (j < K)%nat -> exists c, term (sym x at_position) (sym x j) j = Some c) ->
  inside p W b (fun k => rsum K (total x k)) -> (best < d_vocab_out A)%nat -> leads (sym x at_position) u best b = true ->
  right_at A RT x margin at_position best = true.
Hypothesis Hendings : forall q s, endings q s = going_on A M number states W by_state term q (K - steps) steps s.

Lemma unseen_sees x j : unseen A M number j = true -> sees A x at_position j = false.
Proof.
  unfold unseen, sees. intros U. apply andb_prop in U as [B L]. apply negb_true_iff in B. apply Nat.ltb_lt in L. rewrite B.
  now rewrite (proj2 (Nat.leb_gt j at_position) L).
Qed.
Lemma readable_parts : inverse K (order M) back = true /\ (0 < K)%nat /\ (number < length (reads M))%nat /\ (at_position <
  K)%nat /\
  forallb (fun rd => (1 <=? snd rd)%nat && (snd rd <=? K)%nat) (reads M) = true.
Proof.
  unfold readable in Readable. rewrite !andb_true_iff in Readable. destruct Readable as [[[[[A1 A2] A3] A4] A5] A6].
  apply Nat.ltb_lt in A3, A4, A5. auto.
Qed.

Lemma proved_input y q u : In y (all_lists V K) -> begins W label owner bounds q u = true ->
  follows A M number states W by_state term leads finer label owner bounds steps O u y = true ->
  sym (unread K back y) at_position = q /\ right_read M A RT margin number (unread K back y) = true.
Proof.
  destruct readable_parts as (Inv & Kp & Nr & At & Rds). intros Iy Bg Fo. set (x := unread K back y).
  assert (Fw := forth_ok K (order M) back Inv). assert (Bw := back_ok K (order M) back Inv).
  unfold begins in Bg. apply andb_prop in Bg as [Bg B0]. apply andb_prop in Bg as [Bo Bl]. apply Nat.eqb_eq in Bo, Bl.
  assert (Ord : forall i, (i < K)%nat -> (order M i < K)%nat) by (intros i Hi; now destruct (Fw i Hi)).
  assert (Rd : reads_on A M x O y).
  { apply all_lists_spec in Iy as [L F]. unfold reads_on. rewrite Nat.sub_0_r. repeat split; auto. intros k Hk. cbn [Nat.add].
    symmetry. now apply (unread_nth K (order M) back Inv). }
  assert (Sk : (steps <= K)%nat).
  { assert (X := reads_within A M Rds number Nr). exact (proj2 X). }
  destruct (follows_ok A p M number states W by_state term leads finer label owner bounds x (total x) (lives x) (sym x) (Symbol x)
    (fun j b Lv => Term x j b Lv At) (fun j k => Unseen x j k) Ord steps O u y (Nat.add_0_r steps) Sk Rd Fo
    ltac:(cbn [state_after]; now rewrite Bl)) as (v & Sv & Ov & Rp & Al & Qs & Ts & Sm).
  subst q. set (q := owner O u) in *.
  assert (Eq : sym x at_position = q).
  { destruct (Bw at_position At) as [B1 B2]. apply (Qs (back at_position)); auto. lia. }
  split; auto.
  assert (Lv : lives x) by (split; [now apply (unread_in V K (order M) back Inv)|destruct (Al K ltac:(lia)) as (s & -> & _); discriminate]).
  (* The sums. *)
  assert (Zero : inside p W (bounds O u) (fun _ => 0%R)).
  { apply (inside_contained p W zero_box); auto. intros k _. cbn. lra. }
  destruct (Sm Lv Eq (fun _ => 0%R) Zero) as [In1 In2].
  set (rest := snd (going_on A M number states W by_state term q (K - steps) steps (label steps v))) in *.
  assert (Sums : inside p W (add_boxes W (bounds steps v) rest) (fun k => rsum K (total x k))).
  { assert (Both := inside_add p W _ _ _ _ In1 In2). intros k Hk. specialize (Both k Hk). cbn beta in Both.
    replace (rsum K (total x k)) with (0 + sum_from M (total x) 0 steps k + sum_from M (total x) steps (K - steps) k)%R;
      [exact Both|].
    rewrite (rsum_steps K (order M) back Inv (total x k)). rewrite Rplus_0_l. unfold sum_from.
    replace (rsum K (fun i => total x k (order M i))) with (rsum (steps + (K - steps)) (fun i => total x k (order M i))) by
      (f_equal; lia).
    rewrite rsum_app. reflexivity. }
  unfold region_proved in Rp. destruct (output M number (label steps v)) as [best|] eqn:Ob; [|discriminate].
  apply andb_prop in Rp as [Lb Ld]. apply Nat.ltb_lt in Lb.
  destruct (alive_all_runs A M x Rds Kp Al) as (found & Run & Out).
  unfold right_read. rewrite Run. rewrite (Out number (label steps v) best Nr Sv Ob).
  change (fst (nth number (reads M) (O, O))) with at_position.
  rewrite <- Eq in Ld. apply (Leads x v best _ Lv At) with (2 := Sums); auto. intros j J.
  destruct (Bw j J) as [B1 B2]. destruct (Ts (back j) ltac:(lia)) as [c Tc]. rewrite B2, <- Eq in Tc. eauto.
Qed.

Theorem count_read_le : count_read <= Z.of_nat (length (filter (right_read M A RT margin number) (all_lists V K))).
Proof.
  destruct readable_parts as (Inv & Kp & Nr & At & Rds).
  assert (Sk : (steps <= K)%nat) by (assert (X := reads_within A M Rds number Nr); exact (proj2 X)).
  set (fol u y := follows A M number states W by_state term leads finer label owner bounds steps O u y).
  set (key y := sym (unread K back y) at_position).
  set (P y := match starts (key y) with Some u => begins W label owner bounds (key y) u && fol u y | None => false end).
  apply Z.le_trans with (cnt V all K P).
  2:{ apply (count_unread V K (order M) back Inv). intros y Iy Py. unfold P in Py. destruct (starts _) as [u|]; [|discriminate].
      apply andb_prop in Py as [Bg Fo]. exact (proj2 (proved_input y _ u Iy Bg Fo)). }
  eapply Z.le_trans; [|apply (cnt_key V all K P key symbols)]. unfold count_read, count_regions.
  cbv zeta. apply zsum_le. intros q Hq.
  destruct (starts q) as [u|] eqn:St; [|apply cnt_nonneg]. destruct (begins W label owner bounds q u) eqn:Bg;
    [|apply cnt_nonneg].
  rewrite (good_cnt A M number states W by_state term leads finer label owner bounds sizes endings Hendings steps O u
    (Nat.add_0_r steps)).
  replace (steps + (K - steps))%nat with K by lia. apply cnt_mono. intros y [Ly Fy] Fo. assert (Iy : In y (all_lists V K)).
  { apply all_lists_spec. split; auto. eapply Forall_impl; [|exact Fy]. cbn. tauto. }
  destruct (proved_input y q u Iy Bg Fo) as [Eq _]. unfold P, key. rewrite Eq, St, Bg. unfold fol. rewrite Fo.
  now rewrite Nat.eqb_refl.
Qed.
End OneRead.

(* That terms, sums and endings are what is meant: of an input, there are symbols, and numbers that positions add. *)
Definition faithful (A : architecture) (p : Z) (M : automaton) (number states : nat) (RT : transformer R) (margin : R) (W : nat)
  (by_state : bool) (term : nat -> nat -> nat -> option box) (leads : nat -> nat -> nat -> box -> bool)
  (endings : nat -> nat -> Z * box) : Prop :=
  let K := n_ctx A in let at_position := position M number in
  exists (sym : list nat -> nat -> nat) (total : list nat -> nat -> nat -> R),
    (forall x i s, (i < K)%nat -> state_after M x (S i) = Some s ->
      symbol_of by_state s (nth (order M i) x O) = sym x (order M i)) /\
    (forall x j b, In x (all_lists (d_vocab A) K) /\ state_after M x K <> None -> (at_position < K)%nat -> (j < K)%nat ->
      term (sym x at_position) (sym x j) j = Some b -> inside p W b (fun k => total x k j)) /\
    (forall q y j, unseen A M number j = true -> exists b, term q y j = Some b) /\
    (forall x j k, unseen A M number j = true -> total x k j = 0%R) /\
    (forall x u best b, In x (all_lists (d_vocab A) K) /\ state_after M x K <> None -> (at_position < K)%nat ->
      (forall j, (j < K)%nat -> exists c, term (sym x at_position) (sym x j) j = Some c) ->
      inside p W b (fun k => rsum K (total x k)) -> (best < d_vocab_out A)%nat -> leads (sym x at_position) u best b = true ->
      right_at A RT x margin at_position best = true) /\
    (forall q s, endings q s = going_on A M number states W by_state term q (K - steps M number) (steps M number) s).
