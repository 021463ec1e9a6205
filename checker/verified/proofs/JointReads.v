(* Rule joint-reads (FORMAT.md 5.17): inputs that are in a proved region at each of several reads, of which each is counted
   once. What is claimed: records, which tell for each query of a read to which state of its finer automaton the tokens so far
   lead; classes of records from which no further tokens fail where others do not; and states that stand for one of the task's
   automaton and a class for each read. Nothing is believed: a step that does not fit is none. *)
From Coq Require Import Reals Lra Lia ZArith List Arith Bool.
From CompactProofs Require Import Semantics Counting Labels PrefixChains Attention Transformers Automata Forward ReadingOrder
  Boxes OneLayer
  Regions OneRead AllReads.
Import ListNotations.
Open Scope Z_scope.

(* Of a read: how many queries, and which; after a number of steps so many records, of each the state of a query (after the
   read's steps, the last one), and with a token the record that follows; the class of a record, and the class that follows. *)
Record watch := Watch { queries : nat; query : nat -> nat; records : nat -> nat; record_state : nat -> nat -> nat -> option nat;
  follow : nat -> nat -> nat -> nat; class_of : nat -> nat -> nat; class_next : nat -> nat -> nat -> option nat }.

Section Watched.
Variable A : architecture.
Variable p : Z.
Variable M : automaton.
Variables number states : nat.
Variable back : nat -> nat.
Variable W : nat.
Variable by_state : bool.
Variable term : nat -> nat -> nat -> option box.
Variable leads : nat -> nat -> nat -> box -> bool.
Variable finer : nat -> nat -> nat -> option nat.
Variables label owner : nat -> nat -> nat.
Variable bounds : nat -> nat -> box.
Variable endings : nat -> nat -> Z * box.
Variable C : watch.
Notation V := (d_vocab A). Notation K := (n_ctx A).
Notation at_position := (position M number).
Notation steps := (steps M number).
Notation edge := (edge M number W by_state term finer label owner bounds).

Definition proved_region (u : nat) : bool :=
  let q := owner steps u in region_proved A M number W leads label bounds q u (snd (endings q (label steps u))).
(* Tables of the steps of the finer automaton that fit, and of the regions that are proved. *)
Variable edges : nat -> nat -> nat -> option nat.
Variable proved : nat -> bool.
(* A query's state follows from the one before. *)
Definition goes_on (i c t u u' : nat) : bool :=
  if (i <? steps)%nat then match edges i u t with Some v => (v =? u')%nat | None => false end
  else (u =? u')%nat && (unseen A M number (order M i) ||
    negb by_state && (negb (order M i =? at_position)%nat || (t =? query C c)%nat) &&
    match term (query C c) t (order M i) with Some _ => true | None => false end).
Definition record_fits (i k t : nat) : bool :=
  match class_next C i (class_of C i k) t with
  | None => true
  | Some next =>
    let k' := follow C i k t in
    (k' <? records C (S i))%nat && (class_of C (S i) k' =? next)%nat &&
    forallb (fun c => match record_state C (S i) k' c with
      | None => true
      | Some u' => match record_state C i k c with Some u => goes_on i c t u u' | None => false end end) (seq 0 (queries C))
  end.
Definition watched : bool :=
  (steps <=? K)%nat && (0 <? records C O)%nat && (class_of C O O =? O)%nat &&
  forallb (fun c => match record_state C O O c with None => true | Some u => begins W label owner bounds (query C c) u end) (seq
    0 (queries C))
  && forallb (fun i => forallb (fun k => forallb (record_fits i k) (seq 0 V)) (seq 0 (records C i))) (seq 0 K)
  && forallb (fun k => forallb (fun c => match record_state C steps k c with None => true | Some u => proved u end) (seq 0
    (queries C)))
    (seq 0 (records C steps))
  && forallb (fun k => existsb (fun c => match record_state C K k c with None => false | Some _ => true end) (seq 0 (queries
    C)))
    (seq 0 (records C K)).
Fixpoint class_run (n i c : nat) (f : list nat) : bool :=
  match n, f with
  | O, [] => true
  | S m, t :: rest => match class_next C i c t with Some c' => class_run m (S i) c' rest | None => false end
  | _, _ => false
  end.

Hypothesis Edges : forall i u t, edges i u t = edge i u t.
Hypothesis Proved : forall u, proved u = proved_region u.
Hypothesis Endings : forall q s, endings q s = going_on A M number states W by_state term q (K - steps) steps s.
Hypothesis Hidden : forall q y j, unseen A M number j = true -> exists b, term q y j = Some b.
Hypothesis Watched : watched = true.
Lemma watched_parts : (steps <= K)%nat /\ (0 < records C O)%nat /\ class_of C O O = O /\
  (forall c u, (c < queries C)%nat -> record_state C O O c = Some u -> begins W label owner bounds (query C c) u = true) /\
  (forall i k t, (i < K)%nat -> (k < records C i)%nat -> (t < V)%nat -> record_fits i k t = true) /\
  (forall k c u, (k < records C steps)%nat -> (c < queries C)%nat -> record_state C steps k c = Some u ->
    region_proved A M number W leads label bounds (owner steps u) u (snd (endings (owner steps u) (label steps u))) = true) /\
  (forall k, (k < records C K)%nat -> exists c u, (c < queries C)%nat /\ record_state C K k c = Some u).
Proof.
  assert (Wt := Watched). unfold watched in Wt. cbv zeta in Wt. rewrite !andb_true_iff in Wt. destruct Wt as [[[[[[W1 W2] W3]
    W4] W5] W6] W7].
  apply Nat.leb_le in W1. apply Nat.ltb_lt in W2. apply Nat.eqb_eq in W3. rewrite forallb_forall in W4, W5, W6, W7.
  split; [exact W1|]. split; [exact W2|]. split; [exact W3|]. split; [|split; [|split]].
  - intros c u Lc E. specialize (W4 c ltac:(apply in_seq; lia)). now rewrite E in W4.
  - intros i k t Li Lk Lt. specialize (W5 i ltac:(apply in_seq; lia)). rewrite forallb_forall in W5.
    specialize (W5 k ltac:(apply in_seq; lia)). rewrite forallb_forall in W5. apply W5, in_seq. lia.
  - intros k c u Lk Lc E. specialize (W6 k ltac:(apply in_seq; lia)). rewrite forallb_forall in W6.
    specialize (W6 c ltac:(apply in_seq; lia)). rewrite E, Proved in W6. exact W6.
  - intros k Lk. specialize (W7 k ltac:(apply in_seq; lia)). apply existsb_exists in W7 as (c & Ic & E). apply in_seq in Ic.
    destruct (record_state C K k c) as [u|] eqn:Eu; [|discriminate]. exists c, u. split; [lia|auto].
Qed.
Lemma step_back i k t c' : (i < K)%nat -> (k < records C i)%nat -> (t < V)%nat -> class_next C i (class_of C i k) t = Some c' ->
  (follow C i k t < records C (S i))%nat /\ class_of C (S i) (follow C i k t) = c' /\
  forall c u', (c < queries C)%nat -> record_state C (S i) (follow C i k t) c = Some u' -> exists u, record_state C i k c = Some
    u /\ goes_on i c t u u'
    = true.
Proof.
  intros Li Lk Lt E. destruct watched_parts as (_ & _ & _ & _ & F & _). specialize (F i k t Li Lk Lt). unfold record_fits in F.
  rewrite E in F. cbv zeta in F. rewrite !andb_true_iff in F. destruct F as [[F1 F2] F3]. apply Nat.ltb_lt in F1.
  apply Nat.eqb_eq in F2. rewrite forallb_forall in F3. split; [exact F1|]. split; [exact F2|]. intros c u' Lc Eu.
  specialize (F3 c ltac:(apply in_seq; lia)). rewrite Eu in F3. destruct (record_state C i k c) as [u|]; [eauto|discriminate].
Qed.
Lemma late n : forall i k f s, (n + i = K)%nat -> (steps <= i)%nat -> (k < records C i)%nat -> Forall (fun t => (t < V)%nat) f
  ->
  class_run n i (class_of C i k) f = true -> runs M n i s f = true ->
  exists c u, (c < queries C)%nat /\ record_state C i k c = Some u /\ accepted M number by_state term (query C c) n i s f = true.
Proof.
  induction n as [|n IH]; intros i k f s E L Lk Fv Cr Rn; destruct f as [|t f]; try discriminate.
  - replace i with K in * by lia. destruct watched_parts as (_ & _ & _ & _ & _ & _ & F). destruct (F k Lk) as (c & u & Lc & Eu).
    exists c, u. auto.
  - cbn [class_run] in Cr. cbn [runs] in Rn. inversion Fv as [|? ? Lt Fv']; subst.
    destruct (class_next C i (class_of C i k) t) as [c'|] eqn:Cn; [|discriminate].
    destruct (step_back i k t c' ltac:(lia) Lk Lt Cn) as (Lk' & Ck' & Back). rewrite <- Ck' in Cr.
    destruct (transition M i s t) as [s'|] eqn:Tr; [|discriminate]. apply andb_prop in Rn as [Du Rn].
    destruct (IH (S i) (follow C i k t) f s' ltac:(lia) ltac:(lia) Lk' Fv' Cr Rn) as (c & u' & Lc & Eu' & Ac).
    destruct (Back c u' Lc Eu') as (u & Eu & G). exists c, u. split; auto. split; auto. cbn [accepted]. unfold step. rewrite Tr.
    unfold goes_on in G. rewrite (proj2 (Nat.ltb_ge i steps) L) in G. apply andb_prop in G as [_ G]. cbv zeta.
    apply orb_prop in G as [U|G].
    + destruct (Hidden (query C c) (symbol_of by_state s' t) (order M i) U) as [b ->]. rewrite Du.
      unfold unseen in U. apply andb_prop in U as [_ U]. apply Nat.ltb_lt in U.
      now rewrite (proj2 (Nat.eqb_neq (order M i) at_position)) by lia.
    + apply andb_prop in G as [G Gt]. apply andb_prop in G as [Bs Gq]. destruct by_state; [discriminate|]. cbn [symbol_of].
      destruct (term (query C c) t (order M i)) as [b|]; [|discriminate]. now rewrite Du, Gq.
Qed.
Lemma early n : forall i k f s, (n + i = steps)%nat -> (k < records C i)%nat -> Forall (fun t => (t < V)%nat) f ->
  class_run (n + (K - steps)) i (class_of C i k) f = true -> runs M (n + (K - steps)) i s f = true ->
  exists c u, (c < queries C)%nat /\ record_state C i k c = Some u /\ (label i u = s -> owner i u = query C c ->
    follows A M number states W by_state term leads finer label owner bounds n i u f = true).
Proof.
  destruct watched_parts as (Sk & _ & _ & _ & _ & Pr & _).
  induction n as [|n IH]; intros i k f s E Lk Fv Cr Rn.
  - cbn [Nat.add] in *. subst i. destruct (late (K - steps) steps k f s ltac:(lia) (le_n _) Lk Fv Cr Rn) as (c & u & Lc & Eu &
    Ac).
    exists c, u. split; auto. split; auto. intros Ls Ow. cbn [follows]. cbv zeta. specialize (Pr k c u Lk Lc Eu).
    rewrite Endings in Pr. rewrite Pr, Ow, Ls. exact Ac.
  - cbn [Nat.add] in *. destruct f as [|t f]; [discriminate|]. cbn [class_run] in Cr. cbn [runs] in Rn.
    inversion Fv as [|? ? Lt Fv']; subst.
    destruct (class_next C i (class_of C i k) t) as [c'|] eqn:Cn; [|discriminate].
    destruct (step_back i k t c' ltac:(lia) Lk Lt Cn) as (Lk' & Ck' & Back). rewrite <- Ck' in Cr.
    destruct (transition M i s t) as [s'|] eqn:Tr; [|discriminate]. apply andb_prop in Rn as [Du Rn].
    destruct (IH (S i) (follow C i k t) f s' ltac:(lia) Lk' Fv' Cr Rn) as (c & u' & Lc & Eu' & Ac).
    destruct (Back c u' Lc Eu') as (u & Eu & G). exists c, u. split; auto. split; auto. intros Ls Ow. cbn [follows].
    unfold goes_on in G. rewrite (proj2 (Nat.ltb_lt i steps)) in G by lia. rewrite Edges in G.
    destruct (edge i u t) as [v|] eqn:Ed; [|discriminate]. apply Nat.eqb_eq in G. subst v. apply Ac; unfold Regions.edge in Ed;
    destruct (finer i u t) as [w|]; try discriminate;
    destruct (Regions.step M number by_state term (owner i u) i (label i u) t) as [[s1 b]|] eqn:St; try discriminate;
    destruct ((s1 =? label (S i) w)%nat && (owner (S i) w =? owner i u)%nat && _) eqn:Cd; try discriminate;
    injection Ed as ->; apply andb_prop in Cd as [Cd _]; apply andb_prop in Cd as [C1 C2]; apply Nat.eqb_eq in C1, C2.
    + unfold Regions.step in St. rewrite Ls, Tr in St. cbv zeta in St.
      destruct (term (owner i u) (symbol_of by_state s' t) (order M i)); [|discriminate].
      destruct (_ && _); [|discriminate]. injection St as <- _. now symmetry.
    + congruence.
Qed.
Theorem watched_right RT margin y : readable A M number back = true ->
  faithful A p M number states RT margin W by_state term leads endings -> In y (all_lists V K) ->
  class_run K O O y = true -> runs M K O O y = true -> right_read M A RT margin number (unread K back y) = true.
Proof.
  intros Rd (sym & total & F0 & F1 & _ & F2 & F3 & F4) Iy Cr Rn. destruct watched_parts as (Sk & R0 & C0 & Bg & _).
  assert (Fv : Forall (fun t => (t < V)%nat) y) by now apply all_lists_spec in Iy.
  destruct (early steps O O y O) as (c & u & Lc & Eu & Fo); auto; try lia.
  { rewrite C0. now replace (steps + (K - steps))%nat with K by lia. }
  { now replace (steps + (K - steps))%nat with K by lia. }
  assert (B := Bg c u Lc Eu). assert (B' := B). unfold begins in B'. apply andb_prop in B' as [B' _]. apply andb_prop in B' as
    [B1 B2].
  apply Nat.eqb_eq in B1, B2.
  exact (proj2 (proved_input A p M number states back W by_state term leads finer label owner bounds RT margin sym total Rd F0 F1 F2 F3
    y (query C c) u Iy B (Fo B2 B1))).
Qed.
End Watched.

(* States for all reads together: of each the task's state, and a class for each read; and where tokens lead. *)
Record joint_states := Joint { joint_sizes : nat -> nat; task_state : nat -> nat -> nat; class_at : nat -> nat -> nat -> nat;
  joint_next : nat -> nat -> nat -> option nat }.
Section Joint.
Variable A : architecture.
Variable M : automaton.
Variable back : nat -> nat.
Variable watches : nat -> watch.
Variable J : joint_states.
Notation V := (d_vocab A). Notation K := (n_ctx A). Notation n_reads := (length (reads M)).
Definition joint_edge (i j t : nat) : option nat :=
  match joint_next J i j t with
  | None => None
  | Some j' =>
    let s' := task_state J (S i) j' in
    if match transition M i (task_state J i j) t with Some s => (s =? s')%nat | None => false end && due M (S i) s' &&
      forallb (fun r => match class_next (watches r) i (class_at J i j r) t with Some c => (c =? class_at J (S i) j' r)%nat |
        None => false
        end) (seq 0 n_reads) then Some j' else None
  end.
Fixpoint joint_ways (n i : nat) : nat -> Z :=
  match n with
  | O => fun _ => 1
  | S k => let next := joint_ways k (S i) in
    memo1 (joint_sizes J i) (fun j => zsum V (fun t => match joint_edge i j t with Some j' => next j' | None => 0 end))
  end.
Definition joint_count : Z :=
  if (task_state J O O =? O)%nat && forallb (fun r => (class_at J O O r =? O)%nat) (seq 0 n_reads) then joint_ways K O O else 0.
Fixpoint joint_run (n i j : nat) (f : list nat) : bool :=
  match n, f with
  | O, [] => true
  | S k, t :: rest => match joint_edge i j t with Some j' => joint_run k (S i) j' rest | None => false end
  | _, _ => false
  end.
Lemma joint_cnt n : forall i j, joint_ways n i j = cnt V all n (joint_run n i j).
Proof.
  induction n as [|n IH]; intros i j; [reflexivity|]. cbn [joint_ways cnt]. rewrite memo1_eq. apply zsum_ext. intros t _.
  cbn [all joint_run]. destruct (joint_edge i j t) as [j'|]; [|now rewrite cnt_false]. rewrite IH. reflexivity.
Qed.
Lemma joint_run_ok n : forall i j f, joint_run n i j f = true -> runs M n i (task_state J i j) f = true /\
  forall r, (r < n_reads)%nat -> class_run (watches r) n i (class_at J i j r) f = true.
Proof.
  induction n as [|n IH]; intros i j f R; destruct f as [|t f]; try discriminate; [cbn; auto|]. cbn [joint_run] in R.
  destruct (joint_edge i j t) as [j'|] eqn:E; [|discriminate]. unfold joint_edge in E.
  destruct (joint_next J i j t) as [k|]; [|discriminate]. cbv zeta in E. destruct (_ && _ && _) eqn:Cd; [|discriminate].
  injection E as ->. apply andb_prop in Cd as [Cd Cs]. apply andb_prop in Cd as [Ct Cu]. rewrite forallb_forall in Cs.
  destruct (IH (S i) j' f R) as [I1 I2]. cbn [runs class_run]. split.
  - destruct (transition M i (task_state J i j) t) as [s|]; [|discriminate]. apply Nat.eqb_eq in Ct. subst s. now rewrite Cu.
  - intros r Hr. specialize (Cs r ltac:(apply in_seq; lia)). destruct (class_next (watches r) i (class_at J i j r) t) as [c|];
      [|discriminate]. apply Nat.eqb_eq in Cs. subst c. auto.
Qed.
Theorem joint_count_le RT margin : inverse K (order M) back = true -> (0 < n_reads)%nat ->
  (forall r y, (r < n_reads)%nat -> In y (all_lists V K) -> class_run (watches r) K O O y = true -> runs M K O O y = true ->
    right_read M A RT margin r (unread K back y) = true) ->
  joint_count <= n_right_inputs (By_automaton M) A RT margin.
Proof.
  intros Inv Pos Each. unfold joint_count. destruct (_ && _) eqn:Z0; [|unfold n_right_inputs; lia].
  apply andb_prop in Z0 as [S0 C0]. apply Nat.eqb_eq in S0. rewrite forallb_forall in C0. rewrite joint_cnt. unfold
    n_right_inputs.
  apply (count_unread V K (order M) back Inv). intros y Iy R. destruct (joint_run_ok K O O y R) as [R1 R2]. rewrite S0 in R1.
  assert (All : forall r, (r < n_reads)%nat -> right_read M A RT margin r (unread K back y) = true).
  { intros r Hr. apply Each; auto. specialize (R2 r Hr). specialize (C0 r ltac:(apply in_seq; lia)). apply Nat.eqb_eq in C0.
    now rewrite C0 in R2. }
  apply all_right; auto. specialize (All O Pos). unfold right_read in All. now destruct (run M (unread K back y) K).
Qed.
End Joint.
